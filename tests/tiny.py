"""Small stand-ins for what a build makes: a tokenizer, cards, a model repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from core.card import Drift, EngineCard, Invariance, Verdict, write_card
from engines.checksums import file_sha256

WORDS = ["good", "bad", "film", "contract", "term", "the", "a", ".", ","]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def write_tokenizer(path: Path) -> None:
    """A WordPiece tokenizer of a few words and single letters, padding to 128 like the real one."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, *LETTERS, *(f"##{c}" for c in LETTERS)]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ids = (("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"]))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=list(ids)
    )
    tokenizer.enable_padding(length=128)
    tokenizer.save(str(path))


def card(name: str, **changes: Any) -> EngineCard:
    """A card with plausible values; `changes` overrides fields."""
    fields: dict[str, Any] = {
        "name": name,
        "version": "1",
        "description": "a stand-in",
        "task": "classify",
        "output": "logits",
        "labels": ["negative", "positive"],
        "max_tokens": 512,
        "backend": "onnxruntime",
        "precision": "int8",
        "scheme": "test",
        "scheme_notes": [],
        "base": "none",
        "base_sha256": "0" * 64,
        "adapter": None,
        "adapter_sha256": None,
        "engine_sha256": "1" * 64,
        "tokenizer_sha256": "2" * 64,
        "recipe_sha256": "3" * 64,
        "tools": {},
        "machine": "none",
        "built_at": "2026-01-01T00:00:00Z",
        "engine_bytes": 1,
        "reference_bytes": 1,
        "drift": Drift(texts=0, mean_change=0, largest_change=0, labels_changed=0),
        "invariance": Invariance(texts=0, largest_change=0, labels_flipped=0, limit=0.002),
        "gate": Verdict(passed=True, reasons=[]),
    }
    return EngineCard.model_validate(fields | changes)


def write_model(repository: Path, model_card: EngineCard) -> Path:
    """A model folder as the service reads it, with an empty engine. Returns the version."""
    version = repository / model_card.name / model_card.version
    _write_files(version, empty_engine(b""))
    (version.parent / "config.pbtxt").write_text(f'name: "{model_card.name}"\n')
    tokenizer_sha256 = file_sha256(version / "tokenizer.json")
    write_card(model_card.model_copy(update={"tokenizer_sha256": tokenizer_sha256}), version)
    return version


def write_version(
    version: Path, model_card: EngineCard, mark: bytes = b"", engine: bytes | None = None
) -> None:
    """A version folder that can be promoted: its card has the checksums of its files.

    Its engine is `engine`, a whole ONNX file, or else an empty one with that mark.
    """
    _write_files(version, empty_engine(mark) if engine is None else engine)
    sums = {
        "engine_sha256": file_sha256(version / "model.onnx"),
        "tokenizer_sha256": file_sha256(version / "tokenizer.json"),
    }
    write_card(model_card.model_copy(update=sums), version)


def empty_engine(mark: bytes) -> bytes:
    """An ONNX file of no operators; `mark`, of up to 100 bytes, tells it from others."""
    graph = bytes([10 << 3 | 2, len(mark)]) + mark
    return bytes([7 << 3 | 2, len(graph)]) + graph


def _write_files(version: Path, engine: bytes) -> None:
    version.mkdir(parents=True)
    (version / "model.onnx").write_bytes(engine)
    write_tokenizer(version / "tokenizer.json")
