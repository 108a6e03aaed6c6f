"""``show_versions`` tells what a bug report needs and survives whatever is missing."""

from importlib import metadata

import pytest

import sparseopt
from sparseopt import _show_versions
from sparseopt._core._simd import level_name


def _shown(capsys) -> dict[str, str]:
    sparseopt.show_versions()
    lines = capsys.readouterr().out.splitlines()
    return {name.strip(): text for name, _, text in (x.partition(": ") for x in lines)}


def test_facts(capsys):
    facts = _shown(capsys)
    assert facts["version"] == sparseopt.__version__ == metadata.version("sparseopt")
    assert facts["numpy"] == metadata.version("numpy")
    assert facts["simd in use"] == level_name()
    assert level_name() in facts["simd"].split()
    assert int(facts["n_threads=None"]) >= 1
    assert "unknown" not in facts


def test_environment_that_changes_numbers_is_shown(capsys, monkeypatch):
    monkeypatch.setenv("SPARSEOPT_SIMD", "v3")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    facts = _shown(capsys)
    assert facts["SPARSEOPT_SIMD"] == "v3"
    assert facts["OPENBLAS_CORETYPE"] == "Haswell"


@pytest.mark.parametrize("section", ["_threads", "_build", "_thread_pools"])
def test_a_failing_section_does_not_stop_the_rest(section, capsys, monkeypatch):
    def broken():
        yield "first", 1
        raise OSError("no such device")

    sections = {
        title: broken if function.__name__ == section else function
        for title, function in _show_versions._SECTIONS.items()
    }
    monkeypatch.setattr(_show_versions, "_SECTIONS", sections)
    facts = _shown(capsys)
    assert facts["first"] == "1"
    assert facts["unknown"] == "OSError: no such device"
    assert "array-api-strict" in facts


def test_missing_packages_are_said_to_be_missing(capsys, monkeypatch):
    def version(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(_show_versions.metadata, "version", version)
    assert _shown(capsys)["torch"] == "not installed"
