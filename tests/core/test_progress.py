"""Progress bars on a pseudo-terminal, with and without the packages that draw them."""

import io
import os
import re
from importlib.util import find_spec
from itertools import pairwise
from types import SimpleNamespace

import pytest

from sparseopt import Status
from sparseopt._core import _monitor, _progress
from sparseopt._core._monitor import Monitor

pty = pytest.importorskip("pty", reason="needs pseudo-terminals")


class _Terminal:
    """Standard error on a pseudo-terminal; ``text`` is what arrived there."""

    def __init__(self, columns):
        import fcntl
        import struct
        import termios

        self._master, slave = pty.openpty()
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
        os.set_blocking(self._master, False)
        self.stream = open(slave, "w", encoding="utf-8")
        self.text = ""

    def read(self):
        try:
            while chunk := os.read(self._master, 65536):
                self.text += chunk.decode()
        except BlockingIOError:
            pass
        return self.text

    def close(self):
        self.stream.close()
        os.close(self._master)


@pytest.fixture
def terminal(request, monkeypatch):
    terminal = _Terminal(getattr(request, "param", 100))
    # not in sys itself, where pytest puts its own once more before the test
    monkeypatch.setattr(
        _progress, "sys", SimpleNamespace(stderr=terminal.stream, modules={})
    )
    yield terminal
    terminal.close()


@pytest.fixture
def plain(monkeypatch):
    monkeypatch.setattr(_progress, "_PREFERRED", {})


def _run(clock, residuals, tol=1e-8, seconds=0.25, verbose=1):
    monitor = Monitor("ot.solve", tol=tol, verbose=verbose)
    for n_iter, residual in enumerate(residuals):
        clock.now += seconds
        monitor.update(n_iter, residual=residual)
    monitor.finish(Status.CONVERGED)


def _frames(text):
    """Text of each redrawing and the number of signs that the bar has filled."""
    bars = re.findall(r"\rot\.solve \[(#*)(-*)\] ([^\r]*)", text)
    return [
        (len(full), len(full) + len(empty), rest.rstrip()) for full, empty, rest in bars
    ]


def test_bar_is_log_residual(terminal, plain, clock):
    _run(clock, [1.0, 1e-2, 1e-4, 1e-1, 1e-6, 1e-8, 1e-9])
    frames = _frames(terminal.read())
    assert {width for _, width, _ in frames} == {30}
    # the eighth part of 30 signs for each factor of ten
    assert [full for full, _, _ in frames] == [0, 8, 15, 4, 22, 30, 30]
    assert frames[2][2] == "iter 2, residual 1.00e-04 -> 1.0e-08"


def test_bar_is_wiped_before_the_summary(terminal, plain, clock):
    _run(clock, [1.0, 1e-9])
    *_, wipe, summary, end = re.split(r"\r", terminal.read())
    assert wipe.isspace()
    assert len(wipe) > 60
    assert summary.startswith("ot.solve: converged in 1 iteration")
    assert end == "\n"


def test_shorter_frame_covers_the_longer_one(terminal, plain, clock):
    bar = _progress.open_bar("x")
    bar.show(0.5, "a long text")
    bar.show(0.5, "short")
    first, second = terminal.read().split("\r")[1:]
    assert len(second) == len(first)


@pytest.mark.parametrize("terminal", [20, 45, 60], indirect=True)
def test_bar_fits_a_narrow_terminal(terminal, plain, clock):
    columns = os.get_terminal_size(terminal.stream.fileno()).columns
    _run(clock, [1.0, 1e-4])
    frames = terminal.read().split("\r")[1:-2]
    assert len(frames) >= 2
    assert max(map(len, frames)) < columns


def test_residuals_without_a_logarithm(terminal, plain, clock):
    _run(clock, [float("nan"), float("inf"), 0.0, 10.0, 1e-8])
    assert [full for full, _, _ in _frames(terminal.read())] == [0, 0, 30, 0, 30]


def test_start_below_tol(terminal, plain, clock):
    _run(clock, [1e-9, 1e-3])
    assert [full for full, _, _ in _frames(terminal.read())] == [30, 0]


def test_no_tol(terminal, plain, clock):
    _run(clock, [1.0, 1e-4], tol=None)
    frames = _frames(terminal.read())
    assert [full for full, _, _ in frames] == [0, 0]
    assert frames[1][2] == "iter 1, residual 1.00e-04"


def test_redrawn_at_most_ten_times_a_second(terminal, clock, monkeypatch):
    times = []
    bar = SimpleNamespace(show=lambda *_: times.append(clock.now), close=int)
    monkeypatch.setattr(_monitor, "open_bar", lambda title: bar)
    _run(clock, [1.0] * 1000, seconds=1 / 1024)
    assert 0.2 <= times[0] < 0.21
    gaps = [after - before for before, after in pairwise(times)]
    assert len(gaps) == 7
    assert 0.1 <= min(gaps) <= max(gaps) < 0.102


def test_no_bar_for_a_short_run(terminal, plain, clock):
    _run(clock, [1.0, 0.1, 1e-9], seconds=0.05)
    assert terminal.read().startswith("ot.solve: converged")


@pytest.mark.parametrize("verbose", [0, 2, 3])
def test_no_bar_at_other_verbosities(terminal, plain, clock, verbose):
    _run(clock, [1.0, 0.1], verbose=verbose)
    assert "[" not in terminal.read()


def test_no_bar_without_a_terminal(plain, clock, capsys):
    _run(clock, [1.0, 0.1])
    assert capsys.readouterr().err.startswith("ot.solve: converged")


def test_no_bar_beside_a_logger(terminal, plain, clock, monkeypatch):
    messages = []
    logger = SimpleNamespace(
        handlers=[1], info=messages.append, isEnabledFor=lambda level: True
    )
    monkeypatch.setattr(_progress, "_LOGGER", logger)
    _run(clock, [1.0, 0.1])
    assert terminal.read() == ""
    assert len(messages) == 1


def test_terminal_that_tells_no_size():
    class Stream:
        def fileno(self):
            raise OSError

    assert _progress._columns(Stream()) == 80


@pytest.mark.parametrize("package", ["rich", "tqdm"])
def test_bar_of_a_package(package, terminal, clock, monkeypatch):
    pytest.importorskip(package)
    maker = _progress._PREFERRED[package]
    monkeypatch.setattr(_progress, "_PREFERRED", {package: maker})
    monkeypatch.setenv("TERM", "xterm")
    _run(clock, [1.0, 1e-4, 1e-2, 1e-8])
    bar, _, summary = terminal.read().rpartition("ot.solve: converged in 3 iterations")
    assert summary
    for n_iter, residual in enumerate(["1.00e+00", "1.00e-04", "1.00e-02"]):
        assert f"iter {n_iter}, residual {residual} -> 1.0e-08" in bar


def test_packages_are_optional(terminal, clock, monkeypatch):
    """Without rich and tqdm the plain bar is drawn."""
    monkeypatch.setattr(
        _progress,
        "find_spec",
        lambda name: None if name in ("rich", "tqdm") else find_spec(name),
    )
    _run(clock, [1.0, 1e-4])
    assert [full for full, _, _ in _frames(terminal.read())] == [0, 15]


def test_the_first_package_found_is_used(terminal, clock, monkeypatch):
    made = []

    def maker(package):
        def make(title):
            made.append((package, title))
            return SimpleNamespace(show=lambda fraction, text: None, close=int)

        return make

    preferred = {package: maker(package) for package in ("absent", "json", "re")}
    monkeypatch.setattr(_progress, "_PREFERRED", preferred)
    _run(clock, [1.0, 1e-4])
    assert made == [("json", "ot.solve")]


def _notebook(monkeypatch, *found):
    """A kernel's stream, which is no terminal, and the packages that are installed."""
    stream = io.StringIO()
    shell = SimpleNamespace(kernel=object())
    ipython = SimpleNamespace(get_ipython=lambda: shell)
    modules = SimpleNamespace(stderr=stream, modules={"IPython": ipython})
    monkeypatch.setattr(_progress, "sys", modules)
    monkeypatch.setattr(_progress, "find_spec", lambda name: name in found or None)
    return stream


@pytest.mark.parametrize("found", [(), ("tqdm",), ("rich", "ipywidgets")])
def test_text_in_a_notebook_without_widgets(clock, monkeypatch, found):
    stream = _notebook(monkeypatch, *found)
    _run(clock, [1.0, 1e-2, 1e-4])
    assert [full for full, _, _ in _frames(stream.getvalue())] == [0, 8, 15]


def test_widgets_in_a_notebook(clock, monkeypatch):
    stream = _notebook(monkeypatch, "tqdm", "ipywidgets")
    shown = []

    class Bar:
        def __init__(self, **options):
            assert (options["total"], options["leave"]) == (1.0, False)

        def set_postfix_str(self, text):
            shown.append((self.n, text))

        def close(self):
            shown.append("closed")

    wanted = []

    def require(module, purpose, *, extra):
        wanted.append(module)
        return SimpleNamespace(tqdm=Bar)

    monkeypatch.setattr(_progress, "require", require)
    _run(clock, [1.0, 1e-4])
    assert wanted == ["tqdm.notebook"]
    assert shown[1] == (0.5, "iter 1, residual 1.00e-04 -> 1.0e-08")
    assert shown[-1] == "closed"
    assert stream.getvalue().startswith("ot.solve: converged")  # no bar in the text


def test_no_bar_in_ipython_on_no_terminal(clock, monkeypatch):
    stream = _notebook(monkeypatch)
    ipython = SimpleNamespace(get_ipython=object)  # a shell that has no kernel
    monkeypatch.setitem(_progress.sys.modules, "IPython", ipython)
    stream.isatty = lambda: False
    _run(clock, [1.0, 1e-4])
    assert "[" not in stream.getvalue()
