"""ONNX Runtime's CUDA provider on a real GPU. Nowhere that these tests were written has one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from core.buckets import BUCKET_LENGTHS
from core.tokenizer import pad
from engines.cuda import CudaEngine, require_cuda
from engines.errors import GpuNotUsable
from engines.gpu_graph import gpu_graph
from engines.graph import classifier_graph
from engines.measure import answers_alone, answers_in_batches, feed, open_session
from tests.engines.exported_layer import LONGEST, VOCABULARY, exported_layer
from tests.engines.tiny_encoder import SHAPE, tiny_head, tiny_rows, tiny_weights

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module", autouse=True)
def _gpu() -> None:
    try:
        require_cuda()
    except GpuNotUsable as error:
        pytest.skip(f"no GPU to run on: {error}")


@pytest.fixture
def engine(tmp_path: Path) -> CudaEngine:
    graph = classifier_graph(tiny_weights(), SHAPE, *tiny_head())
    onnx.save(gpu_graph(graph, 512), tmp_path / "model.fp16.onnx")
    return CudaEngine(tmp_path / "model.fp16.onnx")


def test_answers_are_those_of_the_processor_within_fp16(engine: CudaEngine) -> None:
    rows = tiny_rows(40)
    graph = classifier_graph(tiny_weights(), SHAPE, *tiny_head())
    expected = answers_alone(open_session(graph), rows)
    np.testing.assert_allclose(answers_alone(engine, rows), expected, atol=0.02)
    np.testing.assert_allclose(answers_in_batches(engine, rows), expected, atol=0.02)


def test_a_recorded_run_answers_what_the_first_did(engine: CudaEngine) -> None:
    inputs = feed(*pad(tiny_rows(4)))
    first = engine.run(None, inputs)
    for _ in range(5):
        for again, expected in zip(engine.run(None, inputs), first, strict=True):
            np.testing.assert_array_equal(again, expected)


def test_a_graph_that_was_fused_answers_there_as_it_was_exported(tmp_path: Path) -> None:
    exported = exported_layer()
    onnx.save(gpu_graph(exported, LONGEST), tmp_path / "model.fp16.onnx")
    random = np.random.default_rng(1)
    lengths = (1, 7, BUCKET_LENGTHS[1], LONGEST)
    rows = [random.integers(1, VOCABULARY, length).tolist() for length in lengths]
    expected = answers_alone(open_session(exported), rows)
    found = CudaEngine(tmp_path / "model.fp16.onnx")
    np.testing.assert_allclose(answers_alone(found, rows), expected, atol=0.05)
    np.testing.assert_allclose(answers_in_batches(found, rows), expected, atol=0.05)
