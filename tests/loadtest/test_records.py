"""Records keep every request to the microsecond."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loadtest.histogram import latency_histogram, save_histogram
from loadtest.records import ERROR, OK, REFUSED, TIMEOUT, Records, outcome_of
from tests.loadtest.hand_made import made


def test_three_times_from_one_record() -> None:
    records = made([20.001], lag_ms=[3])
    assert records.latency_us.tolist() == [20_001]
    assert records.lag_us.tolist() == [3_000]
    assert records.service_us.tolist() == [17_001]


def test_saved_and_loaded(tmp_path: Path) -> None:
    records = made([1.5, 2.5], outcome=[OK, TIMEOUT], kind=[1, 0])
    records.save(tmp_path / "records.npz")
    loaded = Records.load(tmp_path / "records.npz")
    assert loaded.kinds == records.kinds
    for name in ("scheduled_us", "sent_us", "finished_us", "outcome", "status", "kind"):
        stored, kept = getattr(loaded, name), getattr(records, name)
        assert stored.dtype == kept.dtype
        assert np.array_equal(stored, kept)


def test_rows_by_schedule_and_by_kind() -> None:
    records = made([1, 2, 3, 4], kind=[0, 1, 1, 0], rate_per_second=1)
    assert records.measured(2).latency_us.tolist() == [3_000, 4_000]
    assert records.of_kind("contract").latency_us.tolist() == [2_000, 3_000]
    assert len(records.of_kind("poem")) == 0


def test_arrays_have_one_length() -> None:
    records = made([1, 2])
    short = np.zeros(1, np.int64)
    with pytest.raises(ValueError, match="lengths"):
        Records(
            scheduled_us=short,
            sent_us=records.sent_us,
            finished_us=records.finished_us,
            outcome=records.outcome,
            status=records.status,
            kind=records.kind,
            kinds=records.kinds,
        )


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, OK),
        (204, OK),
        (429, REFUSED),
        (504, TIMEOUT),
        (500, ERROR),
        (422, ERROR),
        (301, ERROR),
    ],
)
def test_statuses(status: int, outcome: int) -> None:
    assert outcome_of(status) == outcome


def test_the_histogram_holds_answers_to_three_digits(tmp_path: Path) -> None:
    records = made([50.4] * 99 + [1.0], outcome=[OK] * 99 + [REFUSED])
    histogram = latency_histogram(records)
    assert histogram.get_total_count() == 99
    assert histogram.get_value_at_percentile(50) == pytest.approx(50_400, rel=1e-3)
    text = save_histogram(records, tmp_path).read_text(encoding="ascii")
    assert "50.4" in text
    assert "TotalCount     =       99.000" in text
