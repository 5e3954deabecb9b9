"""Rows are cut into the runs that cost least, and lose nothing on the way."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, product
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.buckets import BUCKET_LENGTHS
from service.triton.backends import sub50_runs
from service.triton.backends.sub50_runs import EVERY_LENGTH, Costs, padded_lengths, plan_runs

lengths_of_rows = st.lists(st.sampled_from((1, 7, 20, *BUCKET_LENGTHS)), min_size=1, max_size=32)


def cost(runs: list[list[int]], costs: Costs) -> float:
    """What runs of rows of these lengths cost."""
    return sum(
        costs.run_overhead_tokens + sum(costs.row_tokens(row, max(run)) for row in run)
        for run in runs
    )


def test_buckets_are_those_of_the_service() -> None:
    assert sub50_runs.BUCKET_LENGTHS == BUCKET_LENGTHS


@given(lengths_of_rows, st.integers(0, 200), st.integers(16, 1024))
def test_every_row_runs_once_where_it_fits_and_no_run_is_over_the_limit(
    lengths: list[int], overhead: int, limit: int
) -> None:
    runs = plan_runs(lengths, Costs(overhead, limit))
    assert sorted(row for run in runs for row in run.rows) == list(range(len(lengths)))
    for run in runs:
        assert run.length == max(lengths[row] for row in run.rows)
        assert len(run.rows) == 1 or len(run.rows) * run.length <= limit
    assert [run.length for run in runs] == sorted(run.length for run in runs)


@given(lengths_of_rows, st.integers(0, 200), st.booleans())
def test_no_other_split_between_lengths_costs_less(
    lengths: list[int], overhead: int, skips_padding: bool
) -> None:
    costs = Costs(overhead, max_run_tokens=32 * 512, skips_padding=skips_padding)
    distinct = sorted(set(lengths))
    cheapest = min(
        cost(
            [[n for n in lengths if low < n <= high] for low, high in pairwise([0, *chosen])],
            costs,
        )
        for kept in product([False, True], repeat=len(distinct) - 1)
        if (chosen := [*(n for n, k in zip(distinct, kept, strict=False) if k), distinct[-1]])
    )
    planned = [[lengths[row] for row in run.rows] for run in plan_runs(lengths, costs)]
    assert cost(planned, costs) == pytest.approx(cheapest)


def test_where_padding_is_skipped_short_texts_share_a_run_and_long_ones_do_not_join() -> None:
    lengths = [12, 38, 20, 30, 256]
    assert [run.length for run in plan_runs(lengths, Costs(skips_padding=True))] == [38, 256]
    assert [run.length for run in plan_runs(lengths, Costs())] == [20, 38, 256]


def test_nothing_asked_is_nothing_run() -> None:
    assert plan_runs([], Costs()) == []


@pytest.mark.parametrize(
    ("mask", "every", "bucket"),
    [
        ([1] * 3 + [0] * 61, 3, 16),
        ([1] * 17 + [0] * 47, 17, 24),
        ([1] * 64, 64, 64),
        ([1] * 40 + [0] * 3, 40, 43),
        ([1] * 513 + [0] * 7, 520, 520),
        ([1, 0, 1] + [0] * 61, 64, 64),
        ([0] * 4 + [1] * 60, 64, 64),
        ([0] * 64, 64, 64),
        ([2] * 3 + [0] * 61, 64, 64),
    ],
)
def test_lengths_come_from_masks_of_ones_and_then_zeros(
    mask: list[int], every: int, bucket: int
) -> None:
    masks = np.array([mask, mask])
    assert padded_lengths(masks, EVERY_LENGTH) == [every, every]
    assert padded_lengths(masks, BUCKET_LENGTHS) == [bucket, bucket]


def test_backends_share_one_module(import_backend: Callable[[str], ModuleType]) -> None:
    assert import_backend("onnxruntime").Batcher.__module__ == "sub50_batches"
