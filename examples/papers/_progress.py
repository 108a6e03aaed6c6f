"""Progress on standard error: rich, else tqdm, else one plain line a step."""

import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec


@contextmanager
def progress(name, total):
    """Yield ``step(text)``, to be called when a step of `name` is done."""
    if not sys.stderr.isatty():
        yield _plain(name, total)
    elif find_spec("rich"):
        with _rich(name, total) as step:
            yield step
    elif find_spec("tqdm"):
        with _tqdm(name, total) as step:
            yield step
    else:
        yield _plain(name, total)


def _plain(name, total):
    start, done = time.perf_counter(), 0

    def step(text):
        nonlocal done
        done += 1
        seconds = time.perf_counter() - start
        line = f"{name} [{done:>2}/{total}] {seconds:6.1f} s  {text}"
        print(line, file=sys.stderr, flush=True)

    return step


@contextmanager
def _rich(name, total):
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    bar = Progress(
        SpinnerColumn(),
        TextColumn("[bold]{task.fields[name]}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=total, name=name)

        def step(text):
            bar.console.print(f"  [dim]{name}[/dim]  {text}", highlight=False)
            bar.update(task, advance=1, description=text.split("  ")[0])

        yield step


@contextmanager
def _tqdm(name, total):
    from tqdm import tqdm

    with tqdm(total=total, desc=name, leave=False) as bar:

        def step(text):
            bar.write(f"  {name}  {text}", file=sys.stderr)
            bar.update()

        yield step
