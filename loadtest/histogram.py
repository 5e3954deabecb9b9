"""Latencies as an HDR histogram, for other people's tools."""

from __future__ import annotations

from pathlib import Path

from hdrh.histogram import HdrHistogram

from loadtest.records import OK, Records

HISTOGRAM_FILE = "latency.hgrm"
HIGHEST_US = 3_600_000_000
SIGNIFICANT_DIGITS = 3
_US_PER_MS = 1000.0


def latency_histogram(records: Records) -> HdrHistogram:
    """The corrected latency of every answer, in µs, to three significant digits.

    HDR histograms are Gil Tene's (hdrhistogram.org). What was not answered has no latency and is
    left out: the records and the verdict count it.
    """
    histogram = HdrHistogram(1, HIGHEST_US, SIGNIFICANT_DIGITS)
    for latency_us in records.latency_us[records.outcome == OK].tolist():
        histogram.record_value(min(max(latency_us, 1), HIGHEST_US))
    return histogram


def save_histogram(records: Records, folder: Path) -> Path:
    """Write the percentiles, in ms, in the text form that HDR plotters read."""
    path = folder / HISTOGRAM_FILE
    with path.open("wb") as file:
        latency_histogram(records).output_percentile_distribution(file, _US_PER_MS)
    return path
