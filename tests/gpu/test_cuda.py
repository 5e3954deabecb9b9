"""ONNX Runtime's CUDA provider on a real GPU. Nowhere that these tests were written has one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from core.buckets import BUCKET_LENGTHS
from core.card import read_card, write_card
from core.checksums import file_sha256
from core.tokenizer import pad
from engines.cuda import CudaEngine, require_cuda
from engines.errors import GpuNotUsable
from engines.gated_engine import gated_engine
from engines.gpu_graph import gpu_graph
from engines.graph import classifier_graph
from engines.measure import answers_alone, answers_in_batches, feed, open_session
from engines.runtimes import GPU_FILE
from tests.engines.exported_layer import LONGEST, VOCABULARY, exported_layer
from tests.engines.tiny_encoder import SHAPE, tiny_head, tiny_rows, tiny_weights
from tests.tiny import card, write_version
from tests.tiny_models import tuned

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


def test_the_gate_asks_what_was_tuned_for_the_gpu_there(tmp_path: Path) -> None:
    graph = classifier_graph(tiny_weights(), SHAPE, *tiny_head())
    version = tmp_path / "mine" / "1"
    write_version(version, card("mine"), engine=graph.SerializeToString())
    onnx.save(gpu_graph(graph, 512), version / GPU_FILE)
    tuning = tuned(GPU_FILE, file_sha256(version / GPU_FILE))
    tuning = tuning.model_copy(update={"precision": "FP16"})
    write_card(read_card(version).model_copy(update={"tuning": tuning}), version)
    asked = gated_engine(read_card(version), version)
    assert asked.not_run is None
    assert asked.ran == f"{GPU_FILE}, by ONNX Runtime in FP16 on {require_cuda().name}"
    assert isinstance(asked.open(), CudaEngine)
