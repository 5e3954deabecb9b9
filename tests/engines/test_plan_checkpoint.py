"""A checkpoint of BERT, exported by PyTorch, as the graph that TensorRT is given."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto

from engines.plan_graph import plan_graph
from engines.quantize_subject import checkpoint_subject
from engines.runtime_options import Precision
from engines.tensorrt_rules import check_tensorrt_rules
from tests.engines.tiny_checkpoints import SIZES, write_checkpoint

pytestmark = pytest.mark.train


def test_bert_in_int8_obeys_tensorrt_and_agrees_with_fp32(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "checkpoint", "BertForSequenceClassification")
    work = tmp_path / "work"
    work.mkdir()
    subject = checkpoint_subject(str(checkpoint), "mine", (), None, work)
    found = plan_graph(subject, Precision.INT8, lambda step: None)
    check_tensorrt_rules(found.model)
    assert found.kept == ()
    assert 0 < found.findings.drift.mean_change < 0.01
    assert found.findings.drift.labels_changed <= 2
    kinds = [tensor.data_type for tensor in found.model.graph.initializer if tensor.dims]
    # Query, key and value are one layer; then attention's output, and the two behind it.
    weights = 4 * SIZES["num_hidden_layers"]
    assert kinds.count(TensorProto.INT8) >= weights
    assert TensorProto.UINT8 not in kinds
    assert TensorProto.FLOAT not in kinds
