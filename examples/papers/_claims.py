"""What a paper claims, what was measured, and the verdict that joins the two."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Scale = Literal["quick", "full"]
Verdict = Literal["within", "better", "worse", "cut short", "not run"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One published number and how far from it a measurement may lie.

    The band is part of the claim, so it is fixed before anything is run.
    """

    text: str
    source: str  # table or figure of the paper
    setting: str
    method: str
    metric: str
    published: float
    better: Literal["lower", "higher"]
    accept: tuple[float, float]  # accepted range of measured / published
    peer: str | None = None  # method of another package shown beside ours
    required: tuple[Scale, ...] = ()  # scales at which the run fails without it


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one method did in one setting."""

    setting: str
    method: str
    values: Mapping[str, float] = field(default_factory=dict)
    at_least: Sequence[str] = ()  # metrics known only from below (run was capped)
    peer: bool = False
    curve: Mapping[str, Sequence[float]] = field(default_factory=dict)
    note: str = ""  # why there is no value, or what limits it


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A claim with the measurement that answers it."""

    claim: Claim
    here: float | None
    at_least: bool
    peer_value: float | None
    peer_at_least: bool
    ratio: float | None
    verdict: Verdict
    note: str

    def fails(self, scale: Scale) -> bool:
        """Whether the claim must hold at this scale and does not."""
        return scale in self.claim.required and self.verdict not in ("within", "better")

    def as_dict(self) -> dict[str, Any]:
        """JSON form: the claim's fields beside the measured ones."""
        data = asdict(self)
        return data.pop("claim") | data


def judge(claims: Iterable[Claim], records: Iterable[Record]) -> list[Outcome]:
    """Join every claim with its record; a claim without one is ``not run``."""
    found = {(r.setting, r.method): r for r in records}
    return [_judge_one(claim, found) for claim in claims]


def _judge_one(claim: Claim, found: Mapping[tuple[str, str], Record]) -> Outcome:
    record = found.get((claim.setting, claim.method))
    here, at_least = _lookup(record, claim.metric)
    other = found.get((claim.setting, claim.peer)) if claim.peer else None
    peer, peer_at_least = _lookup(other, claim.metric)
    ratio = None if here is None else here / claim.published
    notes = []
    if record is None:
        notes.append("not measured at this scale")
    elif here is None or at_least:
        notes.append(record.note)
    if claim.peer and peer is None:
        notes.append(f"{claim.peer}: {other.note if other else 'not measured'}")
    return Outcome(
        claim=claim,
        here=here,
        at_least=at_least,
        peer_value=peer,
        peer_at_least=peer_at_least,
        ratio=ratio,
        verdict=_verdict(claim, ratio, at_least),
        note="; ".join(note for note in notes if note),
    )


def _lookup(record: Record | None, metric: str) -> tuple[float | None, bool]:
    if record is None or metric not in record.values:
        return None, False
    return record.values[metric], metric in record.at_least


def _verdict(claim: Claim, ratio: float | None, at_least: bool) -> Verdict:
    if ratio is None:
        return "not run"
    low, high = claim.accept
    if claim.better == "lower":
        if ratio > high:
            return "worse"
        if at_least:  # the true value may still be anything above this one
            return "cut short"
        return "better" if ratio < low else "within"
    if ratio < low:
        return "cut short" if at_least else "worse"
    return "better" if ratio > high else "within"
