from __future__ import annotations

import pytest

from core.card import Verdict
from engines.errors import EngineError
from engines.runtimes import Candidate
from engines.tune_choose import best_point, fitted_line, winner
from engines.tune_measure import Measurement, Point

PASS = Verdict(passed=True, reasons=[])
REFUSED = Verdict(passed=False, reasons=["answers move"])
ONE = Candidate("onnxruntime", "INT8", 2, 1)
TWO = Candidate("onnxruntime", "INT8", 1, 2)
OTHER = Candidate("openvino", "INT8", 2, 1)


def measured(candidate: Candidate, *points: tuple[float, float]) -> Measurement:
    """Points of texts/s and P99, at batches of 1, 2, …"""
    listed = [Point(2**i, rate, p99 / 2, p99, 100) for i, (rate, p99) in enumerate(points)]
    return Measurement(candidate, listed)


def chosen(*found: Measurement, refused: tuple[Candidate, ...] = ()) -> Candidate:
    verdicts = {f.candidate: REFUSED if f.candidate in refused else PASS for f in found}
    return winner(found, verdicts).candidate


def test_a_point_over_the_budget_does_not_count() -> None:
    found = best_point(measured(ONE, (100, 10), (150, 24), (400, 26)))
    assert found is not None
    assert found.texts_per_second == 150
    assert chosen(measured(ONE, (100, 10), (400, 26)), measured(OTHER, (120, 10))) == OTHER


def test_a_candidate_that_the_gate_refuses_cannot_win() -> None:
    pair = measured(ONE, (100, 10)), measured(OTHER, (300, 5))
    assert chosen(*pair) == OTHER
    assert chosen(*pair, refused=(OTHER,)) == ONE
    with pytest.raises(EngineError, match="refuses every candidate"):
        chosen(*pair, refused=(ONE, OTHER))


def test_within_a_tie_fewer_processes_win_then_onnxruntime() -> None:
    assert chosen(measured(TWO, (102, 10)), measured(OTHER, (100, 10))) == OTHER
    assert chosen(measured(OTHER, (102, 10)), measured(ONE, (100, 10))) == ONE
    assert chosen(measured(OTHER, (110, 10)), measured(ONE, (100, 10))) == OTHER
    assert chosen(measured(TWO, (110, 10)), measured(ONE, (100, 10))) == TWO


def test_where_all_are_too_slow_the_quickest_single_text_wins() -> None:
    assert chosen(measured(ONE, (10, 90), (50, 95)), measured(OTHER, (9, 60), (9, 99))) == OTHER


def test_the_line_is_that_of_the_runs_whatever_stalls() -> None:
    runs = [(tokens, 1.5 + 0.05 * tokens) for tokens in (32, 64, 128, 256, 512) for _ in range(9)]
    overhead_ms, ms_per_token = fitted_line([*runs, (32, 400.0), (512, 900.0)])
    assert overhead_ms == pytest.approx(1.5, rel=1e-3)
    assert ms_per_token == pytest.approx(0.05, rel=1e-3)


def test_the_line_has_no_negative_overhead() -> None:
    assert fitted_line([(32, 1.0), (64, 4.0), (512, 90.0)])[0] == 0
    assert fitted_line([(32, 3.2)]) == (0, pytest.approx(0.1))
