"""Checkpoints whose tokenizer is a SentencePiece model alone."""

from __future__ import annotations

import base64
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from core.card import TOKENIZER_FILE
from core.tokenizer import TextTokenizer
from engines import sentencepiece_convert
from engines.checkpoint import Checkpoint, read_checkpoint
from engines.checksums import file_sha256
from engines.errors import CheckpointError, EngineError
from engines.gate_imported import same_checkpoint
from engines.importing import export_module, written_tokenizer
from engines.sentencepiece_model import READERS
from tests.engines.sentencepiece_models.texts import TEXTS
from tests.engines.tiny_checkpoints import ARCHITECTURES, hand_made
from tests.tiny import card

pytest.importorskip("torch", reason="the training side is not installed; run `make setup-train`")
pytestmark = pytest.mark.train

MODELS = Path(__file__).parent / "sentencepiece_models"
ARCHITECTURE = {
    "spiece.model": ("AlbertForSequenceClassification", "albert"),
    "spm.model": ("DebertaV2ForSequenceClassification", "deberta-v2"),
    "sentencepiece.bpe.model": ("XLMRobertaForSequenceClassification", "xlm-roberta"),
}
DEBERTA = "spm.model"


def with_model(folder: Path, file: str = DEBERTA, **config: Any) -> Path:
    """A checkpoint's folder with the tokenizer `file` alone."""
    architecture, model_type = ARCHITECTURE[file]
    positions = ARCHITECTURES[architecture][1].get("max_position_embeddings", 512)
    fields = {"architectures": [architecture], "model_type": model_type, "vocab_size": 200}
    hand_made(folder, **fields | {"max_position_embeddings": positions} | config)
    (folder / TOKENIZER_FILE).unlink()
    shutil.copyfile(MODELS / file, folder / file)
    return folder


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def made(checkpoint: Checkpoint, folder: Path) -> TextTokenizer:
    return written_tokenizer(export_module(), checkpoint, folder / TOKENIZER_FILE)


@pytest.mark.parametrize("file", sorted(ARCHITECTURE))
def test_token_ids_are_those_of_the_sentencepiece_library(file: str, tmp_path: Path) -> None:
    folder = with_model(tmp_path / "checkpoint", file)
    (folder / "tokenizer_config.json").write_text("{}")
    before = names_in(folder)
    checkpoint = read_checkpoint(folder)
    made(checkpoint, tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / TOKENIZER_FILE))
    expected = json.loads((MODELS / "ids.json").read_text())[file]
    found = [encoding.ids for encoding in tokenizer.encode_batch(TEXTS)]
    assert len(found) > 50
    wrong = [text for text, a, b in zip(TEXTS, found, expected, strict=True) if a != b]
    assert wrong == []
    assert names_in(folder) == before
    assert names_in(tmp_path) == {"checkpoint", TOKENIZER_FILE}
    assert checkpoint.files[file] == file_sha256(MODELS / file)
    assert "tokenizer_config.json" in checkpoint.files
    (note,) = checkpoint.notes
    assert f"{TOKENIZER_FILE} is made from {file} (SHA-256 {checkpoint.files[file]})" in note
    assert "transformers 5" in note


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int], TextTokenizer]:
    """What the other process does with a folder, which tokenizer.json is written into."""
    from engines.sentencepiece_reader import convert

    monkeypatch.setitem(sys.modules, "sentencepiece", None)

    def run(folder: Path, vocabulary: int = 200) -> TextTokenizer:
        (file,) = (folder / name for name in READERS.values() if (folder / name).exists())
        (reader,) = (reader for reader, name in READERS.items() if name == file.name)
        convert(file, reader, vocabulary).save(str(folder / TOKENIZER_FILE))
        return TextTokenizer(folder / TOKENIZER_FILE)

    return run


def test_settings_change_texts_and_add_tokens(
    tmp_path: Path, in_this_process: Callable[[Path], TextTokenizer]
) -> None:
    shutil.copyfile(MODELS / "spiece.model", tmp_path / "spiece.model")
    pieces = in_this_process(tmp_path).encode(["ÉTÉ", "ete", "a <firm> b", "[MASK]"])
    assert pieces[0].ids == pieces[1].ids
    assert pieces[3].ids == [2, 4, 3]
    settings = {"do_lower_case": False, "keep_accents": True, "tokenizer_class": "AlbertTokenizer"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "added_tokens.json").write_text('{"<firm>": 141}')
    kept = in_this_process(tmp_path).encode(["ÉTÉ", "ete", "a <firm> b"])
    assert kept[0].ids != kept[1].ids
    assert kept[1].ids == pieces[1].ids
    assert 141 in kept[2].ids
    assert 141 not in pieces[2].ids
    (tmp_path / "added_tokens.json").write_text('{"<firm>": 150}')
    with pytest.raises(CheckpointError, match=r"added token '<firm>' has the id 150, but gets 141"):
        in_this_process(tmp_path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"do_lower_case": "yes"}, "do_lower_case is 'yes', not true or false"),
        ({"remove_space": False}, "remove_space is off"),
    ],
)
def test_settings_that_cannot_be_followed(
    tmp_path: Path,
    in_this_process: Callable[[Path], TextTokenizer],
    settings: dict[str, Any],
    said: str,
) -> None:
    shutil.copyfile(MODELS / DEBERTA, tmp_path / DEBERTA)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=said):
        in_this_process(tmp_path)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("XLMRobertaTokenizer", "of XLMRobertaTokenizer; converted are"),
        ("T5Tokenizer", "of T5Tokenizer; converted are"),
        (7, "tokenizer_class is 7, not a name"),
    ],
)
def test_tokenizers_that_are_not_converted(tmp_path: Path, named: Any, said: str) -> None:
    folder = with_model(tmp_path)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": named}))
    with pytest.raises(CheckpointError, match=said):
        read_checkpoint(folder)


def test_gate_and_tune_find_the_same_checkpoint_again(tmp_path: Path) -> None:
    folder = with_model(tmp_path)
    (folder / "tokenizer_config.json").write_text("{}")
    checkpoint = read_checkpoint(folder)
    imported = {"files": checkpoint.files}
    labels = list(checkpoint.labels)
    made_of_it = card("mine", base=str(folder), labels=labels, imported=imported)
    assert same_checkpoint(made_of_it) == checkpoint
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    with pytest.raises(EngineError, match=r"tokenizer_config\.json changed since"):
        same_checkpoint(made_of_it)


def test_another_architecture_may_name_its_tokenizer(tmp_path: Path) -> None:
    fields = {"architectures": ["BertForSequenceClassification"], "model_type": "bert"}
    folder = with_model(tmp_path, **fields)
    with pytest.raises(CheckpointError, match=r"spm\.model, of a bert model; .*tokenizer_class"):
        read_checkpoint(folder)
    settings = {"tokenizer_class": "DebertaV2TokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    found = read_checkpoint(folder).sentencepiece
    assert found is not None
    assert found.reader == "DebertaV2Tokenizer"
    (folder / TOKENIZER_FILE).write_text("{}")
    with pytest.raises(CheckpointError, match=f"{TOKENIZER_FILE} is not a tokenizer"):
        read_checkpoint(folder)


Change = Callable[[Any], None]


def changed(change: Change) -> bytes:
    """The bytes of a model with something changed."""
    from transformers.utils import sentencepiece_model_pb2_new as classes

    proto = classes.ModelProto()
    proto.ParseFromString((MODELS / DEBERTA).read_bytes())
    change(proto)
    return bytes(proto.SerializeToString())


def hostile(table: bytes) -> bytes:
    """A table of characters whose entries all point past its end."""
    changed = bytearray(table)
    for place in range(4, 4 + int.from_bytes(table[:4], "little"), 4):
        unit = int.from_bytes(table[place : place + 4], "little")
        if unit >> 31:  # holds a place in the table's texts
            changed[place : place + 4] = (unit | 0x7FFF0000).to_bytes(4, "little")
    return bytes(changed)


def test_a_table_that_makes_the_library_panic_is_refused_in_both_files(
    tmp_path: Path, in_this_process: Callable[[Path], TextTokenizer]
) -> None:
    folder = with_model(tmp_path / "checkpoint")

    def change(proto: Any) -> None:
        found = proto.normalizer_spec.precompiled_charsmap
        proto.normalizer_spec.precompiled_charsmap = hostile(found)

    (folder / DEBERTA).write_bytes(changed(change))
    with pytest.raises(
        CheckpointError, match=r"^tokenizer\.json made from [^ ]*/checkpoint/spm\.model: its table"
    ):
        made(read_checkpoint(folder), tmp_path)
    assert names_in(tmp_path) == {"checkpoint"}
    shutil.copyfile(MODELS / DEBERTA, folder / DEBERTA)
    in_this_process(folder)
    read_checkpoint(folder)
    written = json.loads((folder / TOKENIZER_FILE).read_text())
    (table,) = (
        each for each in written["normalizer"]["normalizers"] if each["type"] == "Precompiled"
    )
    found = base64.b64decode(table["precompiled_charsmap"])
    table["precompiled_charsmap"] = base64.b64encode(hostile(found)).decode()
    (folder / TOKENIZER_FILE).write_text(json.dumps(written))
    with pytest.raises(
        CheckpointError, match=r"tokenizer\.json: its table .*points outside itself"
    ):
        read_checkpoint(folder)


def field(path: str, value: Any) -> Change:
    def change(proto: Any) -> None:
        *parents, name = path.split(".")
        for parent in parents:
            proto = proto.pieces[40] if parent == "piece" else getattr(proto, parent)
        setattr(proto, name, value)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (field("trainer_spec.model_type", 2), "it is a BPE model; only Unigram"),
        (field("trainer_spec.byte_fallback", True), "falls back to bytes"),
        (field("trainer_spec.unk_id", 7), "for what is unknown"),
        (field("normalizer_spec.add_dummy_prefix", False), "trained without add_dummy_prefix"),
        (field("piece.piece", ""), "a piece is empty, there twice"),
        (field("piece.piece", "[CLS]"), "a piece is empty, there twice"),
        (field("piece.score", float("nan")), "score of a piece is no number"),
        (field("piece.type", 6), "falls back to bytes"),
        (lambda proto: proto.ClearField("trainer_spec"), "no SentencePiece model, or cut short"),
        (lambda proto: proto.pieces.add(piece="one more"), "141 pieces, .* vocab_size 140"),
    ],
)
def test_models_that_the_converter_would_get_wrong(
    tmp_path: Path,
    in_this_process: Callable[[Path, int], TextTokenizer],
    change: Change,
    said: str,
) -> None:
    (tmp_path / DEBERTA).write_bytes(changed(change))
    with pytest.raises(CheckpointError, match=said):
        in_this_process(tmp_path, 140)


# The last says that a piece of 8 GB follows.
@pytest.mark.parametrize("broken", [b'{"json": 1}', b"\x80\x04c", b"\x0a\xff\xff\xff\xff\x1f"])
def test_files_of_another_kind(
    tmp_path: Path, in_this_process: Callable[[Path], TextTokenizer], broken: bytes
) -> None:
    (tmp_path / DEBERTA).write_bytes(broken)
    with pytest.raises(CheckpointError, match="no SentencePiece model, or cut short"):
        in_this_process(tmp_path)


def test_a_file_that_is_cut_short_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = with_model(tmp_path / "checkpoint")
    whole = (folder / DEBERTA).read_bytes()
    (folder / DEBERTA).write_bytes(whole[: len(whole) // 2])
    before = names_in(folder)
    with pytest.raises(CheckpointError, match=r"checkpoint/spm\.model cannot .* cut short; copy"):
        made(read_checkpoint(folder), tmp_path)
    assert (names_in(folder), names_in(tmp_path)) == (before, {"checkpoint"})


def test_a_file_that_takes_too_long_or_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = with_model(tmp_path / "checkpoint")
    monkeypatch.setattr(sentencepiece_convert, "MOST_SECONDS", 0.01)
    with pytest.raises(CheckpointError, match=r"spm\.model: .* took longer than"):
        made(read_checkpoint(folder), tmp_path)
    monkeypatch.setattr(sentencepiece_convert, "MOST_BYTES", 100)
    with pytest.raises(CheckpointError, match=r"spm\.model has 0 MB; .* is not read"):
        made(read_checkpoint(folder), tmp_path)
    assert names_in(tmp_path) == {"checkpoint"}
