"""Where a monitor prints: lines to standard error or a logger, bars to a terminal."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Protocol, TextIO

from sparseopt._core._optional import require

_LOGGER = logging.getLogger("sparseopt")


def write_line(line: str) -> None:
    """Hand a line to logger "sparseopt" if it takes it, else to standard error."""
    if _LOGGER.handlers and _LOGGER.isEnabledFor(logging.INFO):
        _LOGGER.info(line)
    elif sys.stderr is not None:
        print(line, file=sys.stderr, flush=True)


class Bar(Protocol):
    """A progress bar on a terminal."""

    def show(self, fraction: float, text: str) -> None:
        """Draw the bar at a fraction in [0, 1] with a text behind it."""

    def close(self) -> None:
        """Remove the bar, so that the next line starts on a clean one."""


def open_bar(title: str) -> Bar | None:
    """Make the best bar there is, or None where it would spoil the output."""
    stream = sys.stderr
    if _LOGGER.handlers or stream is None:
        return None
    if _in_notebook():
        drawn = all(
            find_spec(package) is not None for package in ("tqdm", "ipywidgets")
        )
        return _NotebookBar(title) if drawn else _PlainBar(title)
    if not stream.isatty():
        return None
    for package, make in _PREFERRED.items():
        if find_spec(package) is not None:
            return make(title)
    return _PlainBar(title)


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs the code; IPython is there then."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class _PlainBar:
    """Bar of one line, redrawn in place."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._stream = sys.stderr
        self._width = 0

    def show(self, fraction: float, text: str) -> None:
        columns = _columns(self._stream) - 1  # the last one would wrap the line
        room = min(30, columns - len(self._title) - len(text) - 5)
        full = round(fraction * room)
        bar = f" [{'#' * full}{'-' * (room - full)}]" if room > 3 else ""
        line = f"{self._title}{bar} {text}"[:columns]
        self._stream.write(f"\r{line:<{self._width}}")
        self._stream.flush()
        self._width = len(line)

    def close(self) -> None:
        self._stream.write(f"\r{'':<{self._width}}\r")
        self._stream.flush()


def _columns(stream: TextIO) -> int:
    # 80 where there is no terminal behind the stream, or one that tells no size
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


class _TqdmBar:
    _module = "tqdm"
    _layout = "{desc} {percentage:3.0f}%|{bar:30}| {postfix}"

    def __init__(self, title: str) -> None:
        tqdm = require(self._module, "progress bars", extra="progress").tqdm
        self._bar: Any = tqdm(
            desc=title, total=1.0, leave=False, bar_format=self._layout, file=sys.stderr
        )

    def show(self, fraction: float, text: str) -> None:
        self._bar.n = fraction
        self._bar.set_postfix_str(text)  # redraws

    def close(self) -> None:
        self._bar.close()


class _NotebookBar(_TqdmBar):
    _module = "tqdm.notebook"
    _layout = "{desc} {percentage:3.0f}%|{bar}| {postfix}"


class _RichBar:
    def __init__(self, title: str) -> None:
        rich = require("rich.progress", "progress bars", extra="progress")
        console = require("rich.console", "progress bars", extra="progress").Console(
            file=sys.stderr
        )
        self._progress: Any = rich.Progress(
            "{task.description}",
            rich.BarColumn(),
            "{task.fields[text]}",
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            auto_refresh=False,
        )
        self._task = self._progress.add_task(title, total=1.0, text="")
        self._progress.start()

    def show(self, fraction: float, text: str) -> None:
        self._progress.update(self._task, completed=fraction, text=text, refresh=True)

    def close(self) -> None:
        self._progress.stop()


_PREFERRED: dict[str, Callable[[str], Bar]] = {"rich": _RichBar, "tqdm": _TqdmBar}
