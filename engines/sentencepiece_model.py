"""The SentencePiece model that a checkpoint without a tokenizer.json has instead.

Each tokenizer of transformers looks for it under a name of its own, and turns it into other token
ids; this finds out which tokenizer a checkpoint was made with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.card import TOKENIZER_FILE
from engines.checkpoint_weights import json_object
from engines.checksums import file_sha256
from engines.errors import CheckpointError
from engines.revision import tool_versions

TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
# What else says how texts become tokens.
SETTINGS_FILES = (TOKENIZER_CONFIG_FILE, "special_tokens_map.json", "added_tokens.json")
# The tokenizers of transformers whose models are converted, and the file that each reads.
READERS = {
    "AlbertTokenizer": "spiece.model",
    "DebertaV2Tokenizer": "spm.model",
    "XLMRobertaTokenizer": "sentencepiece.bpe.model",
}
# Of checkpoints that name none.
USUAL_READERS = {
    "albert": "AlbertTokenizer",
    "deberta-v2": "DebertaV2Tokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
}
CONVERTED_BY = ("transformers", "tokenizers", "protobuf")


@dataclass(frozen=True)
class SentencePieceModel:
    """The file, and the name of transformers' tokenizer that reads it."""

    path: Path
    reader: str

    @property
    def files(self) -> tuple[Path, ...]:
        """The model and the settings beside it: all that tokenizer.json is made from."""
        settings = (self.path.parent / name for name in SETTINGS_FILES)
        return (self.path, *(path for path in settings if path.is_file()))

    @property
    def note(self) -> str:
        """From what tokenizer.json is made, and by what, for the card."""
        tools = ", ".join(f"{tool} {found}" for tool, found in self.tools.items())
        return (
            f"{TOKENIZER_FILE} is made from {self.path.name} (SHA-256 {file_sha256(self.path)}) "
            f"as {self.reader}, by {tools}"
        )

    @property
    def tools(self) -> dict[str, str]:
        """Versions of what makes it."""
        return tool_versions(CONVERTED_BY)


def sentencepiece_model(folder: Path, model_type: str) -> SentencePieceModel | None:
    """The SentencePiece model that tokenizer.json has to be made from, if it has to be.

    Args:
        folder: the checkpoint.
        model_type: of its config.json.

    Raises:
        CheckpointError: tokenizer_config.json is not JSON.
    """
    if (folder / TOKENIZER_FILE).is_file():
        return None
    reader = reader_of(folder) or USUAL_READERS.get(model_type)
    if reader not in READERS or not (folder / READERS[reader]).is_file():
        return None
    return SentencePieceModel(folder / READERS[reader], reader)


def reader_of(folder: Path) -> str | None:
    """The tokenizer that tokenizer_config.json names, if any; those that older versions called
    fast are the same.

    Raises:
        CheckpointError: the file is not JSON, or names no string.
    """
    path = folder / TOKENIZER_CONFIG_FILE
    named = json_object(path).get("tokenizer_class") if path.is_file() else None
    if named is None:
        return None
    if not isinstance(named, str):
        raise CheckpointError(f"{path}: field tokenizer_class is {named!r}, not a name")
    return named.removesuffix("Fast")


def require_convertible(folder: Path, model_type: str) -> None:
    """Raise CheckpointError if the folder's only tokenizer is a SentencePiece model of a kind that
    is not converted."""
    there = [name for name in READERS.values() if (folder / name).is_file()]
    if there and sentencepiece_model(folder, model_type) is None:
        kinds = ", ".join(f"{reader} from {file}" for reader, file in READERS.items())
        raise CheckpointError(
            f"the tokenizer in {folder} is a SentencePiece model alone, {there[0]}, of "
            f"{reader_of(folder) or f'a {model_type} model'}; converted are {kinds}. Name its "
            f"tokenizer_class in {TOKENIZER_CONFIG_FILE}, or save it as {TOKENIZER_FILE}"
        )
