from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from engines.base import CACHE, SHA256, TOKENIZER_FILE, WEIGHTS_FILE, ensure_base, load_weights
from engines.errors import BaseModelError

fetched = pytest.mark.skipif(
    not all((CACHE / name).is_file() for name in SHA256),
    reason="the base encoder has not been fetched",
)


def test_a_folder_without_the_files_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=WEIGHTS_FILE) as caught:
        ensure_base(tmp_path)
    assert "--base" in str(caught.value)


def test_wrong_weights_are_refused_by_name(tmp_path: Path) -> None:
    for name in SHA256:
        (tmp_path / name).write_bytes(b"other bytes")
    with pytest.raises(BaseModelError, match=f"{tmp_path / WEIGHTS_FILE} is not the file"):
        ensure_base(tmp_path)


def test_a_corrupt_cache_is_refused_and_not_used(tmp_path: Path) -> None:
    for name in SHA256:
        (tmp_path / name).write_bytes(b"half a file")
    with pytest.raises(BaseModelError, match="delete it"):
        ensure_base(cache=tmp_path)


@fetched
def test_a_wrong_tokenizer_beside_right_weights_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS_FILE).symlink_to(CACHE / WEIGHTS_FILE)
    (tmp_path / TOKENIZER_FILE).write_text("{}")
    with pytest.raises(BaseModelError, match=f"{tmp_path / TOKENIZER_FILE} is not the file"):
        ensure_base(tmp_path)


@fetched
def test_a_fetched_base_is_found_without_a_network(tmp_path: Path) -> None:
    for name in SHA256:
        shutil.copyfile(CACHE / name, tmp_path / name)
    assert ensure_base(cache=tmp_path) == tmp_path
    weights = load_weights(tmp_path)
    assert weights["embeddings.word_embeddings.weight"].shape == (30522, 384)
    assert {value.dtype for value in weights.values()} == {np.dtype(np.float32)}
