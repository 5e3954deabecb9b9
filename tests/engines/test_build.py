from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.card import CARD_FILE, ENGINE_FILE, TOKENIZER_FILE, read_card
from core.tokenizer import TextTokenizer
from engines.base import CACHE, SHA256, WEIGHTS_FILE
from engines.build import build_engines
from engines.catalog import CATALOG
from engines.checksums import file_sha256
from engines.errors import AdapterError, BaseModelError, EngineError
from engines.gate import INVARIANCE_LIMIT
from engines.hardware import hardware
from engines.listing import engine_table, read_cards
from engines.measure import answers_alone, invariance, open_session
from engines.model_config import REPOSITORY, config_text, is_tuned, read_config, tuned_config
from engines.runtimes import Candidate
from engines.texts import probe_texts

fetched = pytest.mark.skipif(
    not all((CACHE / name).is_file() for name in SHA256),
    reason="the base encoder has not been fetched",
)
BUILT = sorted(path.parent for path in REPOSITORY.glob(f"*/[0-9]*/{CARD_FILE}"))


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_an_unknown_model_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="unknown model nonsense"):
        build_engines(["nonsense"], tmp_path, tmp_path / "no-base")


def test_a_wrong_base_leaves_the_repository_alone(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=WEIGHTS_FILE):
        build_engines(["general"], tmp_path, tmp_path / "no-base")
    assert list(tmp_path.iterdir()) == []


@fetched
def test_a_missing_adapter_is_named_and_the_repository_left_alone(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    with pytest.raises(AdapterError, match="sentiment"):
        build_engines(["sentiment"], repository, CACHE, adapters=tmp_path)
    assert not repository.exists()


def test_an_empty_repository_has_no_cards(tmp_path: Path) -> None:
    assert read_cards(tmp_path) == []
    assert engine_table(tmp_path).row_count == 0


@fetched
def test_an_engine_is_built_once_and_again_when_its_file_was_changed(tmp_path: Path) -> None:
    (card,) = build_engines(["general"], tmp_path, CACHE)
    folder = tmp_path / "general" / "1"
    assert names_in(folder) == {CARD_FILE, ENGINE_FILE, TOKENIZER_FILE}
    assert names_in(folder.parent) == {"1", "config.pbtxt"}
    assert read_config(folder.parent / "config.pbtxt").name == "general"
    assert read_card(folder) == card
    assert card.gate.passed
    assert card.hardware == hardware()
    assert card.engine_sha256 == file_sha256(folder / ENGINE_FILE)
    assert card.engine_bytes < 0.3 * card.reference_bytes

    assert build_engines(["general"], tmp_path, CACHE) == [card]

    config = folder.parent / "config.pbtxt"
    default = config.read_text()
    tuned = tuned_config(CATALOG["general"], Candidate("openvino", "INT8", 1, 1), 16)
    config.write_text(config_text(tuned, tuned_model="general"))
    build_engines(["general"], tmp_path, CACHE)
    assert is_tuned(config), "what is up to date stays tuned"

    with (folder / ENGINE_FILE).open("ab") as file:
        file.write(b"\0")
    (again,) = build_engines(["general"], tmp_path, CACHE)
    assert again.engine_sha256 == card.engine_sha256 == file_sha256(folder / ENGINE_FILE)
    assert engine_table(tmp_path).row_count == 1
    assert config.read_text() == default, "a new engine has not been measured"


@pytest.mark.skipif(not BUILT, reason="no engine has been built")
@pytest.mark.parametrize("folder", BUILT, ids=lambda folder: folder.parent.name)
def test_answers_of_built_engines_hold_still(folder: Path) -> None:
    card = read_card(folder)
    assert card.gate.passed
    tokenizer = TextTokenizer(folder / TOKENIZER_FILE, card.max_tokens)
    rows = [tokens.ids for tokens in tokenizer.encode(probe_texts(48))]
    session = open_session(folder / ENGINE_FILE)
    alone = answers_alone(session, rows)
    found = invariance(session, rows, alone, INVARIANCE_LIMIT)
    assert found.largest_change <= INVARIANCE_LIMIT
    assert found.labels_flipped == 0
    assert np.isfinite(alone).all()
