import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.card import Timing, Tuning
from service.cost import CostLine, Line, seed_line
from tests.tiny import card


def timing(batch: int, tokens: int, p50_ms: float) -> Timing:
    return Timing(
        batch=batch,
        tokens=tokens,
        threads=1,
        p50_ms=p50_ms,
        p99_ms=p50_ms,
        texts_per_second=1,
        reference_p50_ms=p50_ms,
    )


def fed(line: CostLine, truth: Line, calls: int, noise: float = 0.05, seed: int = 0) -> CostLine:
    chance = random.Random(seed)
    for _ in range(calls):
        tokens = chance.randint(16, 256)
        line.observe(tokens, truth.ms(tokens) * chance.uniform(1 - noise, 1 + noise))
    return line


def test_the_card_seeds_the_line() -> None:
    timings = [timing(1, 32, 2 + 3.2), timing(1, 128, 2 + 12.8), timing(8, 128, 2 + 102.4)]
    seed = seed_line(card("sentiment").model_copy(update={"timings": timings}))
    assert seed.overhead_ms == pytest.approx(2, abs=1e-6)
    assert seed.ms_per_token == pytest.approx(0.1)


def test_what_was_tuned_goes_before_the_timings() -> None:
    tuning = Tuning(
        backend="openvino",
        precision="INT8",
        threads=2,
        instances=1,
        line_overhead_ms=1.5,
        line_ms_per_token=0.05,
        machine="m",
        tuned_at="now",
    )
    tuned = card("sentiment").model_copy(update={"tuning": tuning})
    assert seed_line(tuned) == Line(1.5, 0.05)


def test_a_card_without_timings_gives_a_usable_line() -> None:
    seed = seed_line(card("sentiment").model_copy(update={"timings": []}))
    assert seed.overhead_ms > 0
    assert seed.ms_per_token > 0


def test_the_line_finds_what_calls_really_take() -> None:
    truth = Line(3.0, 0.2)
    line = fed(CostLine(Line(1.0, 0.05)), truth, 400)
    for tokens in (20, 100, 250):
        assert line.predict_ms(tokens) == pytest.approx(truth.ms(tokens), rel=0.1)


def test_a_machine_that_slows_down_is_followed_within_a_second_of_calls() -> None:
    line = fed(CostLine(Line(2.0, 0.1)), Line(2.0, 0.1), 200)
    fed(line, Line(4.0, 0.2), 150)
    assert line.predict_ms(128) == pytest.approx(Line(4.0, 0.2).ms(128), rel=0.15)


def test_one_stray_call_hardly_moves_it() -> None:
    line = fed(CostLine(Line(2.0, 0.1)), Line(2.0, 0.1), 200)
    before = line.predict_ms(128)
    line.observe(128, 5_000)
    assert line.predict_ms(128) < 1.1 * before


def test_calls_of_one_length_leave_the_slope_to_the_seed() -> None:
    line = CostLine(Line(2.0, 0.1))
    for _ in range(500):
        line.observe(25, 2 * (2.0 + 2.5))  # the machine is half as fast as the card says
    assert line.predict_ms(25) == pytest.approx(9.0, rel=0.02)
    assert line.predict_ms(250) == pytest.approx(2 * (2.0 + 25), rel=0.1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(3, 512), st.floats(0.01, 10_000)), min_size=1, max_size=200))
def test_more_tokens_always_cost_more_and_nothing_is_free(calls: list[tuple[int, float]]) -> None:
    line = CostLine(Line(2.0, 0.1))
    for tokens, took_ms in calls:
        line.observe(tokens, took_ms)
        assert line.line.overhead_ms >= 0
        assert line.line.ms_per_token > 0


def test_another_engine_is_expected_to_take_so_many_times_as_long() -> None:
    line, other = CostLine(Line(4.0, 0.1)), CostLine(Line(8.0, 0.2))
    for tokens, took_ms in ((20, 7.0), (200, 26.0), (90, 12.0)):
        line.observe(tokens, took_ms)
        other.observe(tokens, 2 * took_ms)
    line.scale(2.0)
    assert line.predict_ms(100) == pytest.approx(other.predict_ms(100))
    line.observe(60, 20.0)
    other.observe(60, 20.0)
    assert line.predict_ms(100) == pytest.approx(other.predict_ms(100))


def test_an_engine_begins_anew_with_nothing_of_the_one_before() -> None:
    line, other = CostLine(Line(4.0, 0.1)), CostLine(Line(30.0, 0.5))
    for _ in range(200):
        line.observe(100, 5.0)
    line.begin(Line(30.0, 0.5))
    for each in (line, other):
        each.observe(60, 70.0)
    assert line.line == other.line
