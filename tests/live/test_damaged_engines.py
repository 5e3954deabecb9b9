"""Whatever is wrong with a model's files, a start says which file it is and what to do.

With the built engines, before any Triton is started: a damaged one must not get that far.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from core.card import CARD_FILE, ENGINE_FILE, TOKENIZER_FILE
from service.errors import ServeError
from service.models import ModelCatalog
from service.triton.repository import check_repository, models_in
from tests.live.promoting import BUILT

pytestmark = pytest.mark.live

CONFIG_FILE = "config.pbtxt"
Damage = Callable[[Path], object]
DAMAGES: dict[str, Damage] = {
    "cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "overwritten": lambda path: path.write_bytes(b"\xf4\x00junk" * 1000),
    "one byte changed": lambda path: path.write_bytes(one_byte_changed(path.read_bytes())),
    "gone": lambda path: path.unlink(),
    "a link to nowhere": lambda path: (path.unlink(), path.symlink_to("/nowhere/at/all")),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}
HARMLESS = {
    # A digit of a figure, say: what decides answers is held by checksums, the record is not.
    (CARD_FILE, "one byte changed"),
    (CONFIG_FILE, "one byte changed"),
    # Without one it is no model.
    (CONFIG_FILE, "gone"),
    (CONFIG_FILE, "a link to nowhere"),
}
CASES = [
    (file, damage)
    for file in (ENGINE_FILE, TOKENIZER_FILE, CARD_FILE, CONFIG_FILE)
    for damage in DAMAGES
    if (file, damage) not in HARMLESS
]


def one_byte_changed(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x55]) + content[middle + 1 :]


def read_for_a_start(repository: Path) -> list[str]:
    """What a start reads before Triton does: the names of the models."""
    check_repository(repository, models_in(repository))
    return [model.name for model in ModelCatalog.load(repository).all()]


def refused(repository: Path) -> str:
    with pytest.raises(ServeError) as raised:
        read_for_a_start(repository)
    return str(raised.value)


@pytest.mark.parametrize(("file", "damage"), CASES)
def test_a_damaged_file_is_named(repository: Path, file: str, damage: str) -> None:
    folder = repository / "sentiment"
    path = folder / file if file == CONFIG_FILE else folder / "1" / file
    DAMAGES[damage](path)
    told = refused(repository)
    if (file, damage) != (CONFIG_FILE, "empty"):
        assert str(path) in told
    assert "sentiment" in told
    assert len(told.splitlines()) == 1, told
    assert "pydantic" not in told
    if file != CONFIG_FILE:
        assert "sub50 engines build" in told


@pytest.mark.parametrize("other", ["topics", "general"])
@pytest.mark.parametrize("file", [ENGINE_FILE, CARD_FILE])
def test_a_file_of_another_model_is_named(repository: Path, other: str, file: str) -> None:
    path = repository / "sentiment" / "1" / file
    shutil.copy(BUILT.parent / other / "1" / file, path)
    assert str(path) in refused(repository)


def test_a_model_without_its_version_folder_is_named(repository: Path) -> None:
    shutil.rmtree(repository / "sentiment" / "1")
    told = refused(repository)
    assert "sentiment" in told
    assert "sub50 engines build" in told


def test_sound_files_are_refused_by_nothing(repository: Path) -> None:
    assert read_for_a_start(repository) == ["sentiment"]
