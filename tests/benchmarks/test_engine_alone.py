"""The measurement of the engine without a server."""

from __future__ import annotations

import pytest

from benchmarks.engine_alone import (
    ENGINE,
    Layout,
    Order,
    Point,
    batches_of,
    batchings,
    best_points,
    load_test_texts,
    points_of,
    timed,
)

ROWS = [[101, *range(1000, 1000 + length), 102] for length in (30, 3, 28, 5)]


def point(processes: int, batch: int, texts_per_second: float, p50_ms: float) -> Point:
    layout = Layout("onnxruntime", processes, 1)
    order: Order = "arrival"
    return Point("sentence", layout, batch, order, texts_per_second, p50_ms)


def test_the_best_is_the_most_texts_and_the_soonest_is_one_process_alone() -> None:
    points = [point(1, 1, 250, 4.0), point(2, 1, 500, 3.0), point(1, 8, 900, 9.0)]
    best, soonest = best_points(points)
    assert best.texts_per_second == 900
    # Two processes answer two texts at once, not one text sooner.
    assert soonest.p50_ms == 4.0


def test_sorting_saves_padding() -> None:
    def padded(order: Order) -> int:
        return sum(each["input_ids"].size for each in batches_of(ROWS, 2, order, 1))

    assert padded("arrival") == 2 * 32 + 2 * 30
    assert padded("sorted") == 2 * 7 + 2 * 32


def test_lengths_are_rounded_up_for_runtimes_that_dislike_many() -> None:
    shapes = {each["input_ids"].shape for each in batches_of(ROWS, 1, "arrival", 8)}
    assert shapes == {(1, 8), (1, 32)}


def test_texts_are_counted_not_calls() -> None:
    feeds = batches_of(ROWS, 4, "arrival", 1)
    calls: list[object] = []
    texts_per_second, p50_ms = timed(calls.append, feeds, seconds=0.05)
    assert texts_per_second == pytest.approx(4 * len(calls) / 0.05, rel=0.2)
    assert p50_ms < 50


def test_texts_are_the_same_every_time_and_differ() -> None:
    assert load_test_texts("sentence") == load_test_texts("sentence")
    assert len(set(load_test_texts("review"))) > 100


@pytest.mark.skipif(
    not (ENGINE / "model.onnx").is_file(),
    reason=f"{ENGINE}/model.onnx is not built: run `sub50 engines build`",
)
def test_processes_share_the_work() -> None:
    points = points_of("sentence", Layout("onnxruntime", 2, 1), ROWS * 8, 0.02, ENGINE)
    assert [(each.batch, each.order) for each in points] == batchings()
    assert all(each.texts_per_second > 0 for each in points)
