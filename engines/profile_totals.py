"""Sums over the calls or steps of a profile: by operator, by node, by kernel, by gap."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from engines.operator_groups import group_of
from engines.profile_record import GpuTimes, LongGap, Part, Total
from engines.spans import COPY, KERNEL, Gap, Round, Span, covered_us, gaps, own_pieces

OPERATORS, BETWEEN = "operators", "between operators"
# A stall of the machine in a call would be read as the time of an operator.
COUNTED_SHARE = 0.9
MOST_GAPS = 8

Key = Callable[[Span], tuple[str, str]]
Times = Callable[[Round], list[tuple[Span, float]]]


def counted(rounds: Sequence[Round], alike: bool = True) -> list[Round]:
    """All but the slowest tenth, in their order, or all where they are not of the same texts."""
    if not alike:
        return list(rounds)
    lengths = sorted(each.length_us for each in rounds)
    longest_us = lengths[_counted_of(len(lengths)) - 1]
    return [each for each in rounds if each.length_us <= longest_us]


def counted_mean(values: Sequence[float], alike: bool = True) -> float:
    """The mean of all but the largest tenth, or of all where they are not of the same texts."""
    return float(np.mean(sorted(values)[: _counted_of(len(values)) if alike else None]))


def _counted_of(number: int) -> int:
    return max(1, int(number * COUNTED_SHARE))


def mean_ms(rounds: Sequence[Round]) -> float:
    """Of a call or step."""
    return sum(each.length_us for each in rounds) / len(rounds) / 1e3


def undisturbed(rounds: Sequence[Round]) -> Round:
    """The one that a quarter of them are shorter than: one without a stall of the machine."""
    return sorted(rounds, key=lambda each: each.length_us)[len(rounds) // 4]


def joined(rounds: Sequence[Round], runs: Sequence[int]) -> list[Round]:
    """Calls out of the runs that each was cut into; what passed between runs is left out."""
    calls, start = [], 0
    for count in runs:
        parts = rounds[start : start + count]
        start += count
        moved: list[Round] = []
        at_us = parts[0].start_us
        for part in parts:
            moved.append(_moved(part, at_us - part.start_us))
            at_us += part.length_us
        calls.append(
            Round(
                parts[0].start_us,
                at_us - parts[0].start_us,
                tuple(span for part in moved for span in part.operators),
                device=tuple(span for part in moved for span in part.device),
            )
        )
    return calls


def by_operator(rounds: Sequence[Round], whole_ms: float) -> list[Total]:
    """Totals of each type of operator, the longest first, with their shares of `whole_ms`."""
    return _totals(rounds, whole_ms, _kind_and_group, _own_times)


def by_node(rounds: Sequence[Round], whole_ms: float) -> list[Total]:
    """Totals of each node of a graph, likewise; the group is its type of operator."""
    return _totals(rounds, whole_ms, _name_and_kind, _own_times)


def parts_of(named_ms: Iterable[tuple[str, float]]) -> list[Part]:
    """Parts with their shares of the sum."""
    named = list(named_ms)
    whole = sum(ms for _, ms in named) or 1.0
    return [Part(name=name, ms=ms, share=ms / whole) for name, ms in named]


def between_ms(rounds: Sequence[Round]) -> float:
    """Time of a call or step in which no operator ran."""
    covered = (covered_us(each.operators, each.start_us, each.end_us) for each in rounds)
    return mean_ms(rounds) - sum(covered) / len(rounds) / 1e3


def phase_parts(rounds: Sequence[Round], names: Sequence[str], rest: str) -> list[Part]:
    """The time of each phase of a step, and what lies in none."""
    lengths = dict.fromkeys(names, 0.0)
    for each in rounds:
        for phase in each.phases:
            lengths[phase.name] += phase.length_us / len(rounds) / 1e3
    return parts_of([*lengths.items(), (rest, max(0.0, mean_ms(rounds) - sum(lengths.values())))])


def gpu_times(rounds: Sequence[Round], whole_ms: float) -> GpuTimes | None:
    """What a GPU did; None where it ran nothing."""
    if not any(each.device for each in rounds):
        return None
    kernels_ms = _covered_ms(rounds, (KERNEL,))
    any_ms = _covered_ms(rounds, (KERNEL, COPY))
    found = [gap for each in rounds for gap in gaps(each.device)]
    launched = [
        replace(each, device=tuple(span for span in each.device if span.launched_by))
        for each in rounds
    ]
    return GpuTimes(
        kernels_ms=kernels_ms,
        # A copy beside a kernel costs no time of its own.
        copies_ms=any_ms - kernels_ms,
        idle_ms=max(0.0, whole_ms - any_ms),
        gaps_ms=sum(gap.length_us for gap in found) / len(rounds) / 1e3,
        gaps=len(found) / len(rounds),
        by_kernel=_totals(rounds, whole_ms, _name_and_kind, _device_times),
        by_operator=_totals(launched, whole_ms, _launcher_and_group, _device_times),
        longest_gaps=_longest_gaps(found, len(rounds)),
    )


def _totals(rounds: Sequence[Round], whole_ms: float, key: Key, times: Times) -> list[Total]:
    """Sums by what `key` says of a span: its name, and its group."""
    calls: Counter[tuple[str, str]] = Counter()
    sums_us: dict[tuple[str, str], float] = defaultdict(float)
    for each in rounds:
        for span, own_us in times(each):
            calls[key(span)] += 1
            sums_us[key(span)] += own_us
    found = [
        Total(
            name=name,
            group=group,
            calls=calls[name, group] / len(rounds),
            ms=sum_us / len(rounds) / 1e3,
            share=sum_us / len(rounds) / 1e3 / whole_ms,
            mean_us=sum_us / calls[name, group],
        )
        for (name, group), sum_us in sums_us.items()
    ]
    return sorted(found, key=lambda total: (-total.ms, total.name))


def _own_times(each: Round) -> list[tuple[Span, float]]:
    own_us = [0.0] * len(each.operators)
    for index, _, length_us in own_pieces(each.operators):
        own_us[index] += length_us
    return list(zip(each.operators, own_us, strict=True))


def _device_times(each: Round) -> list[tuple[Span, float]]:
    # Streams run side by side, and nothing on them is inside of another.
    return [(span, span.length_us) for span in each.device]


def _kind_and_group(span: Span) -> tuple[str, str]:
    return span.kind, group_of(span.kind)


def _name_and_kind(span: Span) -> tuple[str, str]:
    return span.name, span.kind


def _launcher_and_group(span: Span) -> tuple[str, str]:
    return span.launched_by, group_of(span.launched_by)


def _covered_ms(rounds: Sequence[Round], kinds: Sequence[str]) -> float:
    covered_by = (
        covered_us([span for span in each.device if span.kind in kinds], each.start_us, each.end_us)
        for each in rounds
    )
    return sum(covered_by) / len(rounds) / 1e3


def _longest_gaps(found: Sequence[Gap], rounds: int) -> list[LongGap]:
    lengths_us: dict[tuple[str, str], list[float]] = defaultdict(list)
    for gap in found:
        lengths_us[gap.after, gap.before].append(gap.length_us)
    longest = sorted(lengths_us.items(), key=lambda item: -sum(item[1]))[:MOST_GAPS]
    return [
        LongGap(after=after, before=before, calls=len(us) / rounds, ms=sum(us) / rounds / 1e3)
        for (after, before), us in longest
    ]


def _moved(part: Round, by_us: float) -> Round:
    def moved(spans: Sequence[Span]) -> tuple[Span, ...]:
        return tuple(replace(span, start_us=span.start_us + by_us) for span in spans)

    return Round(
        part.start_us + by_us, part.length_us, moved(part.operators), device=moved(part.device)
    )
