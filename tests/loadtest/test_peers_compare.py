"""The arithmetic of the comparison with the peers."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from loadtest.peers.compare import EngineAlone, Measured, median, ratio, rows_of, table_of


def measured(server: str, round_number: int, rate: float, p50_ms: float = 5.0) -> Measured:
    return Measured(server, "sentence", round_number, rate, "service", p50_ms)


def alone(round_number: int, texts_per_second: float, p50_ms: float = 4.0) -> EngineAlone:
    return EngineAlone("sentence", round_number, "onnxruntime", texts_per_second, p50_ms)


def test_ratios_are_taken_within_a_round() -> None:
    # The machine was half as fast in the second round: the rates differ, the ratios do not.
    rounds = [
        measured("ours", 1, 300),
        measured("handwritten", 1, 200),
        measured("ours", 2, 150),
        measured("handwritten", 2, 100),
    ]
    rows = {row.server: row for row in rows_of(rounds, [alone(1, 500), alone(2, 250)])}
    assert rows["handwritten"].ours_over_it == pytest.approx(1.5)
    assert rows["handwritten"].rate_per_second == pytest.approx(150)
    assert rows["ours"].ours_over_it == pytest.approx(1)
    assert rows["ours"].over_engine == pytest.approx(0.6)


def test_added_time_is_over_the_engine_alone_in_the_same_round() -> None:
    rounds = [measured("ours", 1, 300, 5.0), measured("ours", 2, 300, 9.0)]
    (row,) = rows_of(rounds, [alone(1, 500, 4.0), alone(2, 500, 7.0)])
    assert row.added_ms == pytest.approx(1.5)
    assert row.one_client_p50_ms == pytest.approx(7.0)


def test_kinds_are_kept_apart() -> None:
    review = Measured("ours", "review", 1, 60, "service", 12.0)
    rows = rows_of([measured("ours", 1, 300), review], [alone(1, 500)])
    assert [(row.kind, row.rate_per_second) for row in rows] == [("sentence", 300), ("review", 60)]
    assert math.isnan(rows[1].over_engine)


def test_without_ours_there_is_no_ratio_to_it() -> None:
    (row,) = rows_of([measured("litserve", 1, 100)], [])
    assert math.isnan(row.ours_over_it)
    assert math.isnan(row.added_ms)


def test_a_peer_that_held_no_rate_is_infinitely_behind() -> None:
    assert ratio(100, 0) == math.inf
    assert math.isnan(ratio(0, 0))
    assert math.isnan(median([]))


def test_the_table_marks_a_limit_set_by_the_generator() -> None:
    limited = Measured("ours", "sentence", 1, 300, "generator", 5.0)
    rows = rows_of([limited, measured("handwritten", 1, 200)], [])
    output = io.StringIO()
    Console(file=output, width=140).print(table_of(rows, 50))
    text = output.getvalue()
    assert "300*" in text
    assert "200*" not in text
    assert "P99 < 50 ms" in text
