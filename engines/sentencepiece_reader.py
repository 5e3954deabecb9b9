"""`python -m engines.sentencepiece_reader MODEL TOKENIZER VOCABULARY` writes tokenizer.json beside
a SentencePiece model, as transformers' tokenizer of that name reads it.

Transformers 5 has two ways. Its tokenizers want sentencepiece, whose classes for Protocol Buffers
are too new for the version that serving needs, and that of DeBERTa forgets how the model normalizes
characters. Its converters for older tokenizers need protobuf alone, and give sentencepiece's own
token ids but for what `_mended` mends.
"""

from __future__ import annotations

import inspect
import json
import math
import resource
import sys
import warnings
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, pre_tokenizers

from core.card import TOKENIZER_FILE
from engines.checkpoint_weights import json_object
from engines.errors import CheckpointError
from engines.sentencepiece_model import SETTINGS_FILES, TOKENIZER_CONFIG_FILE

MOST_MEMORY_BYTES = 6 * 2**30
# Transformers takes sentencepiece's classes where it is installed; PyTorch would take a second.
HIDDEN = ("sentencepiece", "torch")
UNIGRAM, KINDS = 1, {2: "BPE", 3: "word", 4: "character"}
UNKNOWN, BYTE = 2, 6
FLAGS = ("do_lower_case", "keep_accents", "split_by_punct", "add_prefix_space")
# What the converters take for granted, of a model's normalizer_spec.
USUAL_NORMALIZING = ("add_dummy_prefix", "remove_extra_whitespaces", "escape_whitespaces")
# The converter of XLM-RoBERTa puts four pieces of its own in the place of these.
FIRST_PIECES = {"XLMRobertaTokenizer": ["<unk>", "<s>", "</s>"]}
NOT_WHOLE = "it is no SentencePiece model, or cut short; copy or download it again"


class Original:
    """What the converters ask of the tokenizer that they convert."""

    def __init__(self, model: Path, flags: dict[str, bool]) -> None:
        self.vocab_file = str(model)
        self.pieces: dict[str, int] = {}
        for name, value in flags.items():
            setattr(self, name, value)

    def convert_tokens_to_ids(self, token: str) -> int:
        """The id of a piece. Raises CheckpointError where the model has none of that name."""
        if token not in self.pieces:
            raise CheckpointError(f"it has no piece {token}; it belongs to another tokenizer")
        return self.pieces[token]


def convert(model: Path, reader: str, vocabulary: int) -> Tokenizer:
    """The tokenizer of a SentencePiece model, with the special and added tokens of the settings
    that lie beside it; leaves tokenizer.json there, too.

    Raises:
        CheckpointError: the file is corrupt, or of a kind that the converter gets wrong.
    """
    import transformers
    from google.protobuf.message import DecodeError
    from transformers.convert_slow_tokenizer import SLOW_TO_FAST_CONVERTERS

    signature = inspect.signature(getattr(transformers, reader).__init__)
    defaults = {name: each.default for name, each in signature.parameters.items()}
    original = Original(model, _flags(model.parent, defaults))
    try:
        # It warns of what is refused below.
        with warnings.catch_warnings(action="ignore"):
            converter = SLOW_TO_FAST_CONVERTERS[reader](original)
    except DecodeError as error:
        raise CheckpointError(NOT_WHOLE) from error
    _require_usual(converter.proto, reader, vocabulary)
    original.pieces = {
        piece: index for index, (piece, _) in enumerate(converter.vocab(converter.proto))
    }
    mended = _mended(converter.converted(), reader)
    (model.parent / TOKENIZER_FILE).write_text(mended, encoding="utf-8")
    return _with_special_tokens(model.parent, defaults)


def _flags(folder: Path, defaults: dict[str, Any]) -> dict[str, bool]:
    """How texts are changed first, by the settings or else as transformers does."""
    path = folder / TOKENIZER_CONFIG_FILE
    settings = json_object(path) if path.is_file() else {}
    if settings.get("remove_space", True) is not True:
        raise CheckpointError(
            f"{TOKENIZER_CONFIG_FILE}: remove_space is off, which is not converted"
        )
    flags = {name: settings.get(name, defaults[name]) for name in FLAGS if name in defaults}
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise CheckpointError(
                f"{TOKENIZER_CONFIG_FILE}: {name} is {value!r}, not true or false"
            )
    return flags


def _require_usual(proto: Any, reader: str, vocabulary: int) -> None:
    """Raise CheckpointError unless the model is whole and of the kind that is converted."""
    trained, normalizing = proto.trainer_spec, proto.normalizer_spec
    # They come after the pieces in the file, and are all defaults where they are not there.
    if not (proto.HasField("trainer_spec") and proto.HasField("normalizer_spec") and proto.pieces):
        raise CheckpointError(NOT_WHOLE)
    if trained.model_type != UNIGRAM:
        kind = KINDS.get(trained.model_type, "unknown")
        raise CheckpointError(f"it is a {kind} model; only Unigram models are converted")
    if len(proto.pieces) > vocabulary:
        raise CheckpointError(
            f"it has {len(proto.pieces)} pieces, but config.json says vocab_size {vocabulary}; "
            "it belongs to another model"
        )
    names = [piece.piece for piece in proto.pieces]
    # A piece that is no UTF-8 is given as bytes.
    if len(set(names)) != len(names) or not all(isinstance(name, str) and name for name in names):
        raise CheckpointError("a piece is empty, there twice, or no text; copy it again")
    if not all(math.isfinite(piece.score) for piece in proto.pieces):
        raise CheckpointError("the score of a piece is no number; copy or download it again")
    unknown = [index for index, piece in enumerate(proto.pieces) if piece.type == UNKNOWN]
    if unknown != [trained.unk_id]:
        raise CheckpointError("its piece for what is unknown is not the one that it names")
    if any(piece.type == BYTE for piece in proto.pieces) or trained.byte_fallback:
        raise CheckpointError("it falls back to bytes, which the converter does not")
    unusual = [name for name in USUAL_NORMALIZING if not getattr(normalizing, name)]
    if unusual or trained.treat_whitespace_as_suffix:
        named = ", ".join(unusual) or "prefix of words"
        raise CheckpointError(f"it was trained without {named}, which the converter expects")
    first = FIRST_PIECES.get(reader)
    if first and names[: len(first)] != first:
        raise CheckpointError(f"its first pieces are not {', '.join(first)}, as {reader} expects")


def _mended(converted: Tokenizer, reader: str) -> str:
    """The tokenizer as JSON, where what the converter does otherwise than sentencepiece is put
    right."""
    if reader == "AlbertTokenizer":
        # ALBERT splits at whitespace first; without that a text's last line break is a token.
        split = [pre_tokenizers.WhitespaceSplit(), converted.pre_tokenizer]
        converted.pre_tokenizer = pre_tokenizers.Sequence(split)
    written = json.loads(converted.to_str())
    # Symbols that were given to the training are pieces like others, and found as such. As added
    # tokens they end a word, and what follows gets the mark of a new one.
    written["added_tokens"] = [token for token in written["added_tokens"] if token["special"]]
    return json.dumps(written, ensure_ascii=False)


def _with_special_tokens(folder: Path, defaults: dict[str, Any]) -> Tokenizer:
    """The tokenizer.json of a folder, with the tokens that its settings add, under their ids."""
    from transformers import PreTrainedTokenizerFast

    settings = {
        name: json_object(path) for name in SETTINGS_FILES if (path := folder / name).is_file()
    }
    named = {field for found in settings.values() for field in found}
    special: dict[str, Any] = {
        name: token
        for name, token in defaults.items()
        if name.endswith("_token") and isinstance(token, str) and name not in named
    }
    made = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True, **special)
    tokenizer: Tokenizer = made.backend_tokenizer
    for token, index in _added(settings).items():
        if tokenizer.token_to_id(token) != index:
            raise CheckpointError(
                f"the added token {token!r} has the id {index}, but gets "
                f"{tokenizer.token_to_id(token)}; save the tokenizer again with save_pretrained"
            )
    return tokenizer


def _added(settings: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Ids of the added tokens, as both kinds of settings give them."""
    table = settings.get(TOKENIZER_CONFIG_FILE, {}).get("added_tokens_decoder", {})
    listed = {token["content"]: int(index) for index, token in table.items()}
    return listed | settings.get("added_tokens.json", {})


def main(model: Path, reader: str, vocabulary: int) -> None:
    """Write tokenizer.json beside the model, or say in the last line why that cannot be."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    for name in HIDDEN:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        convert(model, reader, vocabulary).save(str(model.parent / TOKENIZER_FILE))
    except CheckpointError as error:
        sys.exit(str(error))
    except Exception as error:  # whatever the libraries raise over such a file
        sys.exit(f"{type(error).__name__}: {error}".replace("\n", " "))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
