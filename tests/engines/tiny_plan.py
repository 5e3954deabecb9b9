"""Version folders with a plan, and a stand-in for TensorRT that runs the graph itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from core.card import ENGINE_FILE, PLAN_FILE, EngineCard, Plan, write_card
from core.checksums import file_sha256
from core.gpu import Gpu
from engines.catalog import CATALOG
from engines.measure import open_session
from engines.model_config import MAX_BATCH_SIZE, write_model_files
from engines.plan_config import plan_config_text
from engines.plan_shapes import Profile, profiles
from tests.tiny import card, write_version

MEBIBYTE = 2**20
L4 = Gpu("NVIDIA L4", "8.9", "580.65.06", 23034 * MEBIBYTE, 22000 * MEBIBYTE)
TENSORRT = "11.4.1"


def write_plan_version(
    version: Path, contents: bytes = b"plan", gpu: Gpu = L4, tensorrt: str = TENSORRT
) -> EngineCard:
    """A version folder of the model `topics`, whole and with a plan for that GPU."""
    labels = list(CATALOG["topics"].labels)
    made = card("topics", version=version.name, labels=labels, backend="tensorrt")
    write_version(version, made, mark=contents)
    (version / PLAN_FILE).write_bytes(contents)
    plan = Plan(
        plan_sha256=file_sha256(version / PLAN_FILE),
        plan_bytes=len(contents),
        gpu=gpu.name,
        compute_capability=gpu.compute_capability,
        driver=gpu.driver,
        tensorrt=tensorrt,
        profiles=[[1, 16, 32, 32]],
    )
    sums = {
        "engine_sha256": file_sha256(version / ENGINE_FILE),
        "tokenizer_sha256": file_sha256(version / "tokenizer.json"),
    }
    whole = made.model_copy(update={"plan": plan, **sums})
    write_card(whole, version)
    return whole


def write_plan_model(repository: Path) -> Path:
    """The model `topics`, served as a plan by its version 1; returns its folder."""
    write_model_files(CATALOG["topics"], repository)
    folder = repository / "topics"
    text = plan_config_text(CATALOG["topics"], profiles(512, MAX_BATCH_SIZE))
    (folder / "config.pbtxt").write_text(text)
    write_plan_version(folder / "1")
    return folder


class GraphRunner:
    """Stands in for `PlanEngine`: the "plan" is the graph itself, run by ONNX Runtime."""

    memory_bytes = 12345

    def __init__(self, plan: bytes, found: Sequence[Profile]) -> None:
        self._session = open_session(onnx.load_from_string(plan), threads=1)
        self._longest = found[-1].tokens

    def run(self, names: None, feed: dict[str, Any]) -> Any:
        assert next(iter(feed.values())).shape[1] <= self._longest
        return self._session.run(names, feed)

    def get_outputs(self) -> Any:
        return self._session.get_outputs()
