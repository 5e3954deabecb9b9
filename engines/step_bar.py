"""A bar on standard error for the step of a command that is under way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class StepBar:
    """A bar for one step after the other."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._step: TaskID | None = None

    def begin(self, step: str, total: int) -> None:
        """Another step, of so many parts."""
        if self._step is not None:
            self._progress.remove_task(self._step)
        self._step = self._progress.add_task(step, total=total)

    def advance(self, parts: int) -> None:
        """So many parts more are through."""
        if self._step is not None:
            self._progress.advance(self._step, parts)


@contextmanager
def step_bar(console: Console) -> Iterator[StepBar]:
    """A bar that is gone when the work is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield StepBar(progress)
