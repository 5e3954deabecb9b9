"""Own times, coverage and gaps, worked out by hand."""

from __future__ import annotations

from engines.spans import Gap, Span, covered_us, gaps, own_pieces, within


def span(name: str, start_us: float, length_us: float, thread: int = 0) -> Span:
    return Span(name, name, start_us, length_us, thread)


def own_us(*spans: Span) -> dict[str, float]:
    found = dict.fromkeys((each.name for each in spans), 0.0)
    for index, _, length_us in own_pieces(spans):
        found[spans[index].name] += length_us
    return found


def test_what_runs_inside_is_not_counted_twice() -> None:
    linear, product, bias = span("linear", 10, 30), span("mm", 12, 20), span("add", 34, 4)
    assert own_us(product, linear, bias) == {"linear": 6, "mm": 20, "add": 4}
    pieces = [(start, length) for index, start, length in own_pieces([linear, product, bias])]
    assert pieces == [(10, 2), (12, 20), (32, 2), (34, 4), (38, 2)]


def test_two_that_begin_together_hold_one_another() -> None:
    assert own_us(span("inner", 0, 5), span("outer", 0, 8)) == {"inner": 5, "outer": 3}


def test_threads_run_side_by_side() -> None:
    both = (span("here", 0, 10, thread=1), span("there", 2, 10, thread=2))
    assert own_us(*both) == {"here": 10, "there": 10}
    assert covered_us(both, 0, 20) == 12


def test_no_time_is_given_twice_where_clocks_are_coarse() -> None:
    """Whole microseconds: the inner one seems to end after the outer one."""
    found = own_us(span("outer", 0, 10), span("inner", 8, 3), span("next", 10, 5))
    assert found == {"outer": 8, "inner": 2, "next": 5}
    assert sum(found.values()) == 15


def test_coverage_ends_where_it_was_asked_for() -> None:
    spans = [span("a", 0, 10), span("b", 5, 10), span("c", 30, 10)]
    assert covered_us(spans, 0, 40) == 25
    assert covered_us(spans, 8, 32) == 7 + 2
    assert covered_us([], 0, 40) == 0


def test_gaps_lie_between_what_a_gpu_ran() -> None:
    device = [span("copy", 0, 10), span("long", 15, 30), span("beside", 20, 5), span("last", 50, 1)]
    assert gaps(device) == [Gap("copy", "long", 5), Gap("long", "last", 5)]
    assert gaps(device[:1]) == gaps([]) == []


def test_spans_belong_to_where_they_begin() -> None:
    spans = [span("late", 19, 5), span("before", 9, 5), span("first", 10, 1), span("after", 20, 1)]
    assert [each.name for each in within(spans, 10, 20)] == ["first", "late"]
