"""Version folders with a plan, and a stand-in for TensorRT that runs the graph itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from core.card import ENGINE_FILE, PLAN_FILE, EngineCard, Plan, write_card
from core.checksums import file_sha256
from core.gpu import Gpu
from core.tokenizer import TextTokenizer
from engines.catalog import CATALOG
from engines.examiner import Examiner
from engines.graph import classifier_graph
from engines.material import Material
from engines.measure import open_session
from engines.model_config import MAX_BATCH_SIZE, write_model_files
from engines.plan_config import plan_config_text
from engines.plan_shapes import Profile, profiles
from engines.quantize_subject import Source, Subject
from engines.sensitivity import Quantized
from engines.texts import SENTENCES
from tests.engines.tiny_encoder import HIDDEN, SHAPE, WORDS, tiny_weights
from tests.tiny import card, write_tokenizer, write_version

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


def tiny_reference(seed: int = 0) -> onnx.ModelProto:
    """The unquantized graph of a model with the labels of `topics`."""
    random = np.random.default_rng(1)
    labels = len(CATALOG["topics"].labels)
    head = random.normal(0, 0.3, (labels, HIDDEN)).astype(np.float32)
    return classifier_graph(tiny_weights(seed), SHAPE, head, np.zeros(labels, dtype=np.float32))


def tiny_subject(asked: Source, folder: Path) -> Subject:
    """The model `topics` with the weights of the tiny encoder."""
    labels = CATALOG["topics"].labels
    reference = tiny_reference()
    write_tokenizer(folder / "tokenizer.json")
    tokenizer = TextTokenizer(folder / "tokenizer.json", 512)
    material = Material(SENTENCES[:24], SENTENCES[24:40], {})

    def make_card(found: Quantized, made: Path) -> EngineCard:
        return card(
            "topics",
            labels=list(labels),
            version=made.name,
            engine_sha256=file_sha256(made / "model.onnx"),
            tokenizer_sha256=file_sha256(made / "tokenizer.json"),
            drift=found.findings.drift,
        )

    return Subject(
        name="topics",
        reference=reference,
        rows=[tokens.ids for tokens in tokenizer.encode(list(material.calibration))],
        token_ids=WORDS,
        judge=Examiner("logits", tokenizer, open_session(reference), material),
        make_card=make_card,
    )


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
