"""A call or a step as bars over time: an `<svg>` element that needs no script and fits any page.

Bars are named for whoever points at them. Text takes the page's own colour, so that it can be read
on light and on dark.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from engines.operator_groups import (
    FLOAT_PRODUCTS,
    INT8_PRODUCTS,
    MOVING,
    NORMS,
    OTHER,
    QUANTIZING,
    group_of,
)
from engines.phases import BACKWARD, DATA, FORWARD, OPTIMIZER
from engines.spans import COPY, KERNEL, Round, own_pieces

WIDTH, LEFT, RIGHT = 860, 96, 8
TRACK, SPACE, LEGEND, AXIS = 34, 12, 24, 26
# What is narrower is joined with its neighbours.
LEAST_WIDTH = 0.5
TICKS = 6
COLOURS = {
    INT8_PRODUCTS: "#2f7de1",
    FLOAT_PRODUCTS: "#e08a1e",
    QUANTIZING: "#9a5fd6",
    NORMS: "#2a9d72",
    MOVING: "#d1495b",
    OTHER: "#868e96",
    KERNEL: "#6f9e16",
    COPY: "#f0679e",
    DATA: "#c77dbb",
    FORWARD: "#1aa5b8",
    BACKWARD: "#5b6ee1",
    OPTIMIZER: "#a8923a",
}


@dataclass(frozen=True)
class Bar:
    """Something that ran from `start_us` on; `group` colours it."""

    name: str
    group: str
    start_us: float
    length_us: float


@dataclass(frozen=True)
class Track:
    """A row of bars that do not overlap."""

    name: str
    bars: tuple[Bar, ...]


def timeline(shown: Round, label: str) -> str:
    """Draw a call or a step.

    Args:
        shown: what is drawn, from its beginning to its end.
        label: names the drawing for screen readers.
    """
    tracks = tracks_of(shown)
    groups = [name for name in COLOURS if any(b.group == name for t in tracks for b in t.bars)]
    scale = (WIDTH - LEFT - RIGHT) / max(1.0, shown.length_us)
    rows = -(-len(groups) // 4)
    height = len(tracks) * (TRACK + SPACE) + AXIS + rows * LEGEND
    parts = [
        f'<svg role="img" aria-label="{html.escape(label, quote=True)}" width="{WIDTH}" '
        f'height="{height}" viewBox="0 0 {WIDTH} {height}" xmlns="http://www.w3.org/2000/svg" '
        'font-family="system-ui, sans-serif" font-size="12" fill="currentColor">'
    ]
    for row, track in enumerate(tracks):
        parts += _track(track, row * (TRACK + SPACE), shown.start_us, scale)
    parts += _axis(len(tracks) * (TRACK + SPACE), shown.length_us, scale)
    parts += _legend(groups, len(tracks) * (TRACK + SPACE) + AXIS)
    return "\n".join([*parts, "</svg>"])


def tracks_of(shown: Round) -> list[Track]:
    """Phases, operators, and what a GPU ran, each where there are any."""
    phases = (Bar(each.name, each.name, each.start_us, each.length_us) for each in shown.phases)
    operators = (
        Bar(shown.operators[i].name, group_of(shown.operators[i].kind), start_us, length_us)
        for i, start_us, length_us in own_pieces(shown.operators)
    )
    device = (Bar(each.name, each.kind, each.start_us, each.length_us) for each in shown.device)
    named = (("phases", phases), ("operators", operators), ("GPU", device))
    tracks = (
        Track(name, tuple(sorted(bars, key=lambda bar: bar.start_us))) for name, bars in named
    )
    return [track for track in tracks if track.bars]


def joined_bars(bars: Sequence[Bar], least_us: float) -> Iterator[Bar]:
    """The bars, but for neighbours shorter than `least_us`, which become one.

    It reaches from the first of them to the last, in the group that has most of their time.
    """
    short: list[Bar] = []
    for bar in bars:
        if short and (bar.length_us >= least_us or bar.start_us - _end_us(short[-1]) >= least_us):
            yield _joined(short)
            short = []
        if bar.length_us >= least_us:
            yield bar
        else:
            short.append(bar)
            if _end_us(bar) - short[0].start_us >= least_us:
                yield _joined(short)
                short = []
    if short:
        yield _joined(short)


def _joined(short: Sequence[Bar]) -> Bar:
    if len(short) == 1:
        return short[0]
    times = {
        group: sum(bar.length_us for bar in short if bar.group == group)
        for group in dict.fromkeys(bar.group for bar in short)
    }
    start_us = short[0].start_us
    most = max(times, key=lambda group: times[group])
    return Bar(f"{len(short)} short ones", most, start_us, _end_us(short[-1]) - start_us)


def _end_us(bar: Bar) -> float:
    return bar.start_us + bar.length_us


def _track(track: Track, top: int, start_us: float, scale: float) -> Iterable[str]:
    middle = top + TRACK / 2 + 4
    yield f'<text x="0" y="{middle:g}">{html.escape(track.name)}</text>'
    yield (
        f'<rect x="{LEFT}" y="{top}" width="{WIDTH - LEFT - RIGHT}" height="{TRACK}" '
        'fill="currentColor" fill-opacity="0.08"/>'
    )
    for bar in joined_bars(track.bars, LEAST_WIDTH / scale):
        x, width = LEFT + (bar.start_us - start_us) * scale, bar.length_us * scale
        # What a GPU began within may end beyond.
        width = min(max(width, LEAST_WIDTH), WIDTH - RIGHT - x)
        title = html.escape(f"{bar.name}, {bar.group}: {milliseconds(bar.length_us)}")
        if width > 0:
            yield (
                f'<rect x="{x:.2f}" y="{top}" width="{width:.2f}" height="{TRACK}" '
                f'fill="{COLOURS[bar.group]}"><title>{title}</title></rect>'
            )


def _axis(top: int, length_us: float, scale: float) -> Iterable[str]:
    step_us = _step(length_us)
    at_us = 0.0
    while at_us <= length_us:
        x = LEFT + at_us * scale
        yield (
            f'<line x1="{x:.2f}" x2="{x:.2f}" y1="0" y2="{top - SPACE + 4}" stroke="currentColor" '
            'stroke-opacity="0.25"/>'
        )
        anchor = "end" if x > WIDTH - 60 else "middle"
        text = milliseconds(at_us)
        yield f'<text x="{x:.2f}" y="{top + 6}" text-anchor="{anchor}">{text}</text>'
        at_us += step_us


def _legend(groups: Sequence[str], top: int) -> Iterable[str]:
    for place, group in enumerate(groups):
        x, y = LEFT + (place % 4) * 190, top + (place // 4) * LEGEND
        yield f'<rect x="{x}" y="{y}" width="12" height="12" fill="{COLOURS[group]}"/>'
        yield f'<text x="{x + 18}" y="{y + 10}">{html.escape(group)}</text>'


def _step(length_us: float) -> float:
    """A round number of microseconds, of which a handful make the length."""
    step = 1.0
    while True:
        for factor in (1, 2, 5):
            if length_us / (step * factor) <= TICKS:
                return step * factor
        step *= 10


def milliseconds(microseconds: float) -> str:
    """A time for people, with as many digits as it is good for."""
    value = microseconds / 1e3
    return f"{value:.0f} ms" if value >= 100 else f"{value:.3g} ms"
