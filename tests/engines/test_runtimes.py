from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from engines.errors import EngineError
from engines.graph import classifier_graph
from engines.measure import answers_alone, answers_in_batches
from engines.runtimes import candidates, has_openvino, layouts, open_engine
from tests.engines.tiny_encoder import SHAPE, tiny_head, tiny_rows, tiny_weights

with_openvino = pytest.mark.skipif(not has_openvino(), reason="OpenVINO is not installed")


def test_layouts_share_out_the_cores_and_none_takes_more() -> None:
    assert layouts(1) == [(1, 1)]
    assert layouts(2) == [(2, 1), (1, 2), (1, 1)]
    assert layouts(4) == [(4, 1), (2, 2), (1, 4), (1, 1)]
    for cores in range(1, 65):
        assert all(threads * instances <= cores for threads, instances in layouts(cores))


def test_without_openvino_only_onnxruntime_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it were not installed
    assert {candidate.backend for candidate in candidates()} == {"onnxruntime"}
    with pytest.raises(EngineError, match=r"sub50\[tune\]"):
        candidates("openvino")


def test_a_choice_that_leaves_nothing_says_what_there_is() -> None:
    with pytest.raises(EngineError, match=r"no candidate is tensorrt .*onnxruntime INT8"):
        candidates("tensorrt")
    assert {candidate.precision for candidate in candidates(precision="int8")} == {"INT8"}
    assert all(c.precision != "BF16" for c in candidates("onnxruntime"))


@with_openvino
def test_openvino_is_asked_like_onnxruntime(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(classifier_graph(tiny_weights(), SHAPE, *tiny_head()), path)
    rows = tiny_rows(40)
    expected = answers_alone(open_engine(path, "onnxruntime", "FP32"), rows)
    engine = open_engine(path, "openvino", "FP32", threads=1)
    np.testing.assert_allclose(answers_alone(engine, rows), expected, atol=1e-4)
    np.testing.assert_allclose(answers_in_batches(engine, rows), expected, atol=1e-4)
