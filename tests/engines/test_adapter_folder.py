"""An adapter and its card come together, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines.adapter_folder import write_folder
from engines.checksums import file_sha256
from engines.merge import ADAPTER_FILE, CARD_FILE


def card(adapter_sha256: str) -> dict[str, Any]:
    return {"labels": ["gut", "böse"], "adapter_sha256": adapter_sha256}


def saving(content: bytes) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        path.write_bytes(content)

    return save


def test_the_card_holds_the_checksum_of_the_file_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "adapters" / "mood"
    written = write_folder(out, saving(b"weights"), card)
    assert {path.name for path in out.iterdir()} == {ADAPTER_FILE, CARD_FILE}
    text = (out / CARD_FILE).read_text(encoding="utf-8")
    assert json.loads(text) == written
    assert "böse" in text
    assert written["adapter_sha256"] == file_sha256(out / ADAPTER_FILE)
    assert list(out.parent.iterdir()) == [out], "nothing is left beside it"


def test_what_fails_half_way_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "mood"
    write_folder(out, saving(b"before"), card)
    (out / "1").mkdir()

    def broken(adapter_sha256: str) -> dict[str, Any]:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        write_folder(out, saving(b"after"), broken)
    assert (out / ADAPTER_FILE).read_bytes() == b"before"
    write_folder(out, saving(b"after"), card)
    assert (out / ADAPTER_FILE).read_bytes() == b"after"
    assert (out / "1").is_dir(), "an engine in the folder stays"
    assert list(tmp_path.iterdir()) == [out]
