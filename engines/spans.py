"""Stretches of time that a profiler saw, and what follows from where they lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Of what a GPU did, copies are told apart by where the memory lies, not by what copied it.
KERNEL, COPY = "kernel", "copy"


@dataclass(frozen=True)
class Span:
    """Something that ran: `kind` is its type of operator, or `kernel` or `copy` on a GPU.

    `launched_by` is the type of operator that a GPU ran it for, where the profiler says so.
    """

    name: str
    kind: str
    start_us: float
    length_us: float
    thread: int = 0
    launched_by: str = ""

    @property
    def end_us(self) -> float:
        """When it was through."""
        return self.start_us + self.length_us


@dataclass(frozen=True)
class Round:
    """One call of an engine, or one step of a training, and what ran within it.

    `operators` may hold one another; `phases` follow each other; `device` is what a GPU ran.
    """

    start_us: float
    length_us: float
    operators: tuple[Span, ...]
    phases: tuple[Span, ...] = ()
    device: tuple[Span, ...] = ()

    @property
    def end_us(self) -> float:
        """When it was through."""
        return self.start_us + self.length_us


@dataclass(frozen=True)
class Gap:
    """Time in which a GPU ran nothing, between two things that it ran."""

    after: str
    before: str
    length_us: float


def within(spans: Iterable[Span], start_us: float, end_us: float) -> tuple[Span, ...]:
    """Those that begin in that time, by their beginning."""
    found = [span for span in spans if start_us <= span.start_us < end_us]
    return tuple(sorted(found, key=lambda span: span.start_us))


def own_pieces(spans: Sequence[Span]) -> list[tuple[int, float, float]]:
    """The time of each span less that of the spans inside it on the same thread.

    Returns:
        (index of the span, start_us, length_us) of every piece, by thread and time. A span has
        several where others ran in its middle.
    """
    pieces: list[tuple[int, float, float]] = []
    by_thread: dict[int, list[int]] = {}
    for index, span in enumerate(spans):
        by_thread.setdefault(span.thread, []).append(index)
    for thread in sorted(by_thread):
        pieces += _pieces_of_thread(spans, by_thread[thread])
    return pieces


def _pieces_of_thread(spans: Sequence[Span], indices: list[int]) -> list[tuple[int, float, float]]:
    pieces: list[tuple[int, float, float]] = []
    open_spans: list[int] = []
    at_us = 0.0

    def give_to_innermost(until_us: float) -> None:
        nonlocal at_us
        if until_us > at_us:
            pieces.append((open_spans[-1], at_us, until_us - at_us))
            at_us = until_us

    # Of those that begin together, the longest holds the others.
    for index in sorted(indices, key=lambda i: (spans[i].start_us, -spans[i].length_us)):
        start_us = spans[index].start_us
        while open_spans and spans[open_spans[-1]].end_us <= start_us:
            give_to_innermost(spans[open_spans[-1]].end_us)
            open_spans.pop()
        if open_spans:
            give_to_innermost(start_us)
        open_spans.append(index)
        # Whole microseconds may let one end a little after the next has begun.
        at_us = max(at_us, start_us)
    while open_spans:
        give_to_innermost(spans[open_spans[-1]].end_us)
        open_spans.pop()
    return pieces


def covered_us(spans: Iterable[Span], start_us: float, end_us: float) -> float:
    """How much of the time from `start_us` to `end_us` at least one span covers."""
    covered, at_us = 0.0, start_us
    for span in sorted(spans, key=lambda span: span.start_us):
        begins, ends = max(span.start_us, at_us), min(span.end_us, end_us)
        if ends > begins:
            covered += ends - begins
            at_us = ends
    return covered


def gaps(spans: Sequence[Span]) -> list[Gap]:
    """The times between the first span and the last in which none ran, in their order."""
    found: list[Gap] = []
    latest: Span | None = None
    for span in sorted(spans, key=lambda span: span.start_us):
        if latest is not None and span.start_us > latest.end_us:
            found.append(Gap(latest.name, span.name, span.start_us - latest.end_us))
        if latest is None or span.end_us > latest.end_us:
            latest = span
    return found
