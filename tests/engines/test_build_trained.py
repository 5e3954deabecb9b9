"""Engines of what a team trained: fewer layers, a name of their own, nothing half-made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.card import ENGINE_FILE, TOKENIZER_FILE
from core.tokenizer import TextTokenizer
from engines.base import CACHE, SHA256, WEIGHTS_FILE, load_weights
from engines.build_trained import Trained, build_trained, make_candidate
from engines.checksums import file_sha256
from engines.data import LabelledText
from engines.errors import AdapterError, EngineError
from engines.listing import read_cards
from engines.material import Material
from engines.measure import answers_alone, open_session
from engines.merge import ADAPTER_FILE, CARD_FILE, METADATA_KEY
from engines.texts import calibration_texts, probe_texts

pytestmark = pytest.mark.skipif(
    not all((CACHE / name).is_file() for name in SHA256),
    reason="the base encoder has not been fetched",
)
LABELS = ["ham", "spam"]
LAYERS = 2


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    """The base's first two layers, one of them changed, under a head of two labels."""
    folder = tmp_path / "adapters" / "spam"
    folder.mkdir(parents=True)
    changed = "encoder.layer.1.output.dense.weight"
    random = np.random.default_rng(0)
    tensors = {
        changed: (load_weights(CACHE)[changed] * 1.1).astype(np.float16),
        "head.weight": random.normal(0, 0.3, (2, 384)).astype(np.float16),
        "head.bias": np.zeros(2, dtype=np.float16),
    }
    metadata = {"kind": "weights", "layers": LAYERS, "labels": LABELS}
    metadata["base_sha256"] = SHA256[WEIGHTS_FILE]
    save_file(tensors, folder / ADAPTER_FILE, metadata={METADATA_KEY: json.dumps(metadata)})
    record = {"labels": LABELS, "adapter_sha256": file_sha256(folder / ADAPTER_FILE)}
    (folder / CARD_FILE).write_text(json.dumps(record))
    return Trained(folder, "spam-filter", "Whether a message is spam.")


def material(labelled: dict[str, list[LabelledText]]) -> Material:
    return Material(calibration_texts()[:24], probe_texts(24), labelled)


def test_a_trained_model_becomes_an_engine_of_its_depth(trained: Trained, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    labelled = {"held back": [LabelledText(text, 0) for text in probe_texts(40)]}
    card = build_trained(trained, repository, material(labelled), CACHE)
    assert read_cards(repository) == [card]
    assert (card.labels, card.name, card.version) == (LABELS, "spam-filter", "1")
    assert card.gate.passed
    assert [(each.data, each.rows) for each in card.accuracy] == [("held back", 40)]
    folder = repository / "spam-filter"
    assert (folder / "labels.txt").read_text() == "ham\nspam\n"
    rows = [t.ids for t in TextTokenizer(folder / "1" / TOKENIZER_FILE).encode(["free money"])]
    assert answers_alone(open_session(folder / "1" / ENGINE_FILE), rows).shape == (1, 2)
    # Two layers' matrices of one byte a weight, beside embeddings that stay FP32.
    layer = 4 * 384 * 384 + 2 * 384 * 1536
    assert card.engine_bytes < (30522 + 512 + 2) * 384 * 4 + 3 * layer

    with pytest.raises(EngineError, match="there is a model spam-filter"):
        build_trained(trained, repository, material({}), CACHE)
    candidate = make_candidate(trained, tmp_path / "candidates" / "2", material({}), CACHE)
    assert (candidate.version, candidate.engine_sha256) == ("2", card.engine_sha256)


def test_weights_that_do_not_fit_leave_nothing_behind(trained: Trained, tmp_path: Path) -> None:
    record = json.loads((trained.folder / CARD_FILE).read_text())
    (trained.folder / CARD_FILE).write_text(json.dumps({**record, "labels": ["ham"]}))
    repository = tmp_path / "repository"
    with pytest.raises(AdapterError, match="tells apart"):
        build_trained(trained, repository, material({}), CACHE)
    assert not (repository / "spam-filter").exists()
