"""The whole command on data made here: what it reads, keeps back, writes, and refuses."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.data import LabelledText
from engines.errors import DataError
from engines.tasks import Task
from tests.train.test_trainer import made_texts

LABELS = ("negative", "positive")
TASK = Task(
    "mood",
    LABELS,
    ("notes", "lines"),
    max_tokens=32,
    epochs=1,
    held_out=frozenset({"lines"}),
    changes={"learning_rate": 5e-3, "tokens_per_batch": 512},
)


def write(path: Path, texts: list[LabelledText]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for item in texts:
            file.write(json.dumps({"text": item.text, "label": LABELS[item.label]}) + "\n")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write(tmp_path / "data/notes/train.jsonl.gz", made_texts(300, 1))
    write(tmp_path / "data/notes/validation.jsonl.gz", made_texts(50, 2))
    write(tmp_path / "data/lines/train.jsonl.gz", made_texts(300, 3))
    write(tmp_path / "data/lines/validation.jsonl.gz", made_texts(50, 4))
    return tmp_path / "data"


def run(base: Path, data: Path, tmp_path: Path) -> dict[str, Any]:
    from engines.finetune import finetune

    return finetune(TASK, data, base, tmp_path / "work", tmp_path / "mood")


def test_an_adapter_comes_with_its_record(base: Path, data: Path, tmp_path: Path) -> None:
    from engines.checksums import file_sha256

    record = run(base, data, tmp_path)
    written = json.loads((tmp_path / "mood/card.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(record))
    assert record["adapter_sha256"] == file_sha256(tmp_path / "mood/adapter.safetensors")
    assert set(record["history"][0]) == {"epoch", "loss", "notes", "lines"}
    assert set(record["data"]["notes"]) == {"train.jsonl.gz", "validation.jsonl.gz"}


def test_what_it_writes_is_what_a_build_reads(base: Path, data: Path, tmp_path: Path) -> None:
    from engines.checksums import file_sha256
    from engines.merge import merge, read_adapter

    run(base, data, tmp_path)
    adapter = read_adapter(tmp_path / "mood", file_sha256(base / "model.safetensors"), LABELS)
    assert adapter.scale == 2.0
    assert adapter.head_weight.shape == (2, 32)
    from safetensors.numpy import load_file

    weights = load_file(base / "model.safetensors")
    merged = merge(weights, adapter)
    changed = [name for name in weights if not np.array_equal(weights[name], merged[name])]
    assert len(changed) == 2 * 6


def test_held_out_texts_are_not_trained_on(data: Path) -> None:
    pytest.importorskip("torch", reason="the training side is not installed")
    from engines.finetune import read_task

    train, validation = read_task(TASK, data, seed=50)
    assert not {item.text for item in train} & {item.text for item in validation["lines"]}


def test_missing_data_is_named(base: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"notes.*train\.jsonl\.gz"):
        run(base, tmp_path / "nowhere", tmp_path)
