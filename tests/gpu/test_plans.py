"""TensorRT plans on a real GPU, judged and chosen. Nowhere that these were written has one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from core.card import read_card
from engines import plans, tune_reference
from engines.errors import GpuNotUsable
from engines.gated_engine import gated_engine
from engines.gpu import gpu_for_tensorrt
from engines.measure import answers_alone, answers_in_batches, open_session
from engines.model_config import CONFIG_FILE, read_config
from engines.plan_here import open_plan
from engines.runtime_options import Precision
from service.cli import app
from tests.engines.tiny_encoder import tiny_rows
from tests.engines.tiny_plan import tiny_reference, tiny_subject

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model `topics` with a plan of random weights for this machine's GPU."""
    try:
        gpu_for_tensorrt()
    except GpuNotUsable as error:
        pytest.skip(f"no GPU to run on: {error}")
    folder = tmp_path_factory.mktemp("plans")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "subject_of", tiny_subject)
        patch.setattr(plans, "TIMING_CACHES", folder / "caches")
        plans.build_plans(["topics"], folder / "repository", Precision.FP16)
    return folder / "repository" / "topics"


def test_the_gate_asks_the_plan_which_answers_as_its_graph_within_fp16(model: Path) -> None:
    asked = gated_engine(read_card(model / "1"), model / "1")
    assert asked.not_run is None
    assert asked.ran.startswith("model.plan, by TensorRT ")
    rows = tiny_rows(40)
    expected = answers_alone(open_session(model / "1" / "model.onnx"), rows)
    engine = open_plan(model / "1" / "model.plan")
    np.testing.assert_allclose(answers_alone(engine, rows), expected, atol=0.02)
    np.testing.assert_allclose(answers_in_batches(engine, rows), expected, atol=0.02)


def test_both_precisions_are_measured_and_the_best_is_written(
    model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(plans, "TIMING_CACHES", tmp_path)
    monkeypatch.setattr(tune_reference, "unquantized", lambda subject, origin: tiny_reference())
    arguments = ["engines", "tune", "topics", "--repository", str(model.parent), "--json"]
    done = CliRunner().invoke(app, [*arguments, "--seconds", "0.3"])
    assert done.exit_code == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert {each["precision"] for each in found["candidates"]} == {"FP16", "INT8"}
    config = read_config(model / CONFIG_FILE)
    assert config.instance_group[0].count == found["winner"]["instances"]
    assert (model / "1" / config.default_model_filename).is_file()
