"""Where tuning looks for what an engine was made of, and what it says where that is gone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from engines.base import CACHE, SHA256, WEIGHTS_FILE
from engines.catalog import CATALOG, spec_of
from engines.checksums import file_sha256
from engines.errors import EngineError
from engines.making import ingredients_of, reference_graph
from engines.merge import ADAPTER_FILE, ADAPTERS
from engines.model_config import write_model_files
from engines.tune_reference import Origin, unquantized
from engines.tune_subject import Subject, subjects
from tests.tiny import card, write_model

ADAPTER = {
    "base_sha256": SHA256[WEIGHTS_FILE],
    "adapter": "sentiment",
    "adapter_sha256": file_sha256(ADAPTERS / "sentiment" / ADAPTER_FILE),
    "labels": list(CATALOG["sentiment"].labels),
}


def subject(repository: Path, name: str = "sentiment", **changes: Any) -> Subject:
    made = card(name, version="2", **ADAPTER | changes)
    write_model(repository, made)
    write_model_files(spec_of(made), repository)
    return subjects([name], repository)[0]


def test_another_base_or_adapter_is_named(tmp_path: Path) -> None:
    other = subject(tmp_path / "a", base="their-base", base_sha256="0" * 64)
    with pytest.raises(
        EngineError, match=r"version 2 of sentiment was .* another base, their-base"
    ):
        unquantized(other, Origin())
    other = subject(tmp_path / "b", "mood", adapter_sha256="f" * 64)
    with pytest.raises(
        EngineError, match=r"SHA-256 ffffffffffff…\).*runs/adapters/mood;.*--source"
    ):
        unquantized(other, Origin())
    with pytest.raises(EngineError, match=f"which is not in {tmp_path};"):
        unquantized(other, Origin(source=tmp_path))
    bare = subject(tmp_path / "c", "bare", adapter=None, adapter_sha256=None)
    with pytest.raises(EngineError, match=r"--source .* is the base alone"):
        unquantized(bare, Origin(source=tmp_path))


@pytest.mark.skipif(
    not all((CACHE / name).is_file() for name in SHA256),
    reason="the base encoder has not been fetched",
)
def test_the_graph_is_that_of_the_adapter_under_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = reference_graph(ingredients_of(CATALOG["sentiment"], CACHE, ADAPTERS))
    promoted = subject(tmp_path / "models", "mood", adapter="theirs")
    with pytest.raises(EngineError, match="--source"):
        unquantized(promoted, Origin())
    found = unquantized(promoted, Origin(source=ADAPTERS / "sentiment"))
    assert found.SerializeToString() == expected.SerializeToString()
    # Where `sub50 engines finetune` leaves it.
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ADAPTERS / "sentiment", tmp_path / "runs" / "adapters" / "mood")
    assert unquantized(promoted, Origin()).ByteSize() == expected.ByteSize()
