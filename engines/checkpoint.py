"""What lies in a checkpoint's folder, checked before anything heavy is done with it.

Nothing in it is run or unpickled: configuration and tokenizer are JSON, weights are safetensors,
whose header says how long the file must be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from core.buckets import BUCKET_LENGTHS
from core.card import TOKENIZER_FILE
from engines.checkpoint_labels import CONFIG_FILE, ProblemType, labels_of, problem_type_of
from engines.checkpoint_weights import (
    INDEX_FILE,
    head_outputs,
    header,
    json_object,
    require_size,
    weight_files,
)
from engines.checksums import file_sha256
from engines.errors import CheckpointError
from engines.sentencepiece_model import (
    SentencePieceModel,
    require_convertible,
    sentencepiece_model,
)
from engines.tokenizer_characters import TABLE, is_sound

# What tokenizers without a tokenizer.json are made of.
VOCABULARY_FILES = ("vocab.txt", "vocab.json")
ARCHITECTURES = {
    "AlbertForSequenceClassification": "albert",
    "BertForSequenceClassification": "bert",
    "DebertaV2ForSequenceClassification": "deberta-v2",
    "DistilBertForSequenceClassification": "distilbert",
    "ElectraForSequenceClassification": "electra",
    "MPNetForSequenceClassification": "mpnet",
    "ModernBertForSequenceClassification": "modernbert",
    "RobertaForSequenceClassification": "roberta",
    "XLMRobertaForSequenceClassification": "xlm-roberta",
}
# These count positions from the one after their padding token's id.
OFFSET_POSITIONS = ("mpnet", "roberta", "xlm-roberta")
# Latency is measured at this length; an encoder of fewer positions is of no use here.
LEAST_TOKENS = 128


@dataclass(frozen=True)
class Checkpoint:
    """A sequence classifier whose files are what they should be.

    `source` is what the user named; `max_tokens` the longest text that it is served with;
    `vocabulary` the words of its embedding table; `files` their SHA-256 by name; `notes` say
    what was assumed; `sentencepiece` is what tokenizer.json has to be made from, if from that.
    """

    folder: Path
    source: str
    architecture: str
    labels: tuple[str, ...]
    problem_type: ProblemType
    max_tokens: int
    vocabulary: int
    files: dict[str, str]
    notes: tuple[str, ...] = ()
    sentencepiece: SentencePieceModel | None = None

    @property
    def has_tokenizer_file(self) -> bool:
        """Whether tokenizer.json is there and need not be made."""
        return (self.folder / TOKENIZER_FILE).is_file()


def read_checkpoint(
    folder: Path, source: str | None = None, labels: Sequence[str] = ()
) -> Checkpoint:
    """Check the files of a folder, and read from them what the engine has to be.

    Args:
        folder: the checkpoint, as `save_pretrained` writes it.
        source: what the user called it, for the card; default the folder.
        labels: names to use instead of those in config.json.

    Raises:
        CheckpointError: a file is missing, corrupt, or of a kind that is not imported.
    """
    config = read_config(folder)
    architecture = _architecture(config, folder)
    weights = weight_files(folder)
    shapes = {name: shape for path in weights for name, shape in header(path).items()}
    require_size(shapes, folder)
    outputs = head_outputs(shapes, folder)
    problem_type = problem_type_of(config, outputs, folder)
    names, notes = labels_of(config, outputs, problem_type, tuple(labels), folder)
    pieces = sentencepiece_model(folder, config["model_type"])
    if pieces is None:
        _require_tokenizer(folder, config["model_type"])
    vocabulary = _integer(config, "vocab_size", folder)
    if (folder / TOKENIZER_FILE).is_file():
        check_tokenizer(folder / TOKENIZER_FILE, vocabulary)
    return Checkpoint(
        folder=folder,
        source=source or str(folder),
        architecture=architecture,
        labels=names,
        problem_type=problem_type,
        max_tokens=_max_tokens(config, folder),
        vocabulary=vocabulary,
        files={path.name: file_sha256(path) for path in _hashed(folder, weights, pieces)},
        notes=notes if pieces is None else (*notes, pieces.note),
        sentencepiece=pieces,
    )


def read_config(folder: Path) -> dict[str, Any]:
    """config.json, without anything that asks for code from elsewhere."""
    if not folder.is_dir():
        raise CheckpointError(f"no folder {folder}; name one that save_pretrained wrote")
    path = folder / CONFIG_FILE
    if not path.is_file():
        adapter = (folder / "adapter_config.json").is_file()
        hint = (
            "it holds an adapter: merge it into its model with peft's merge_and_unload() first"
            if adapter
            else "name the folder of a checkpoint, as save_pretrained writes it"
        )
        raise CheckpointError(f"no {CONFIG_FILE} in {folder}; {hint}")
    config = json_object(path)
    tokenizer_config = folder / "tokenizer_config.json"
    for file in (path, tokenizer_config):
        if file.is_file() and "auto_map" in json_object(file):
            raise CheckpointError(
                f"{file}: auto_map asks to run Python code that comes with the checkpoint, which "
                "is never done; save it as one of the architectures that transformers has"
            )
    if "quantization_config" in config:
        raise CheckpointError(
            f"{path}: the weights are quantized already; import the checkpoint from before that"
        )
    return config


def check_tokenizer(path: Path, vocabulary: int) -> None:
    """Raise CheckpointError unless a tokenizer.json suits the model and the service."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises the bare class
        raise CheckpointError(
            f"{path} is not a tokenizer ({error}); save it again with save_pretrained"
        ) from error
    special = tokenizer.num_special_tokens_to_add(is_pair=False)
    if special != 2:
        raise CheckpointError(
            f"{path} puts {special} special tokens around a text; the encoders served here need "
            "one before and one after it, see its post_processor"
        )
    if TABLE in path.read_bytes() and not is_sound(tokenizer):
        raise CheckpointError(
            f"{path}: its table of characters (precompiled_charsmap) points outside itself; copy "
            "or download it again"
        )
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
    if largest >= vocabulary:
        raise CheckpointError(
            f"{path} has the token id {largest}, but {CONFIG_FILE} says vocab_size {vocabulary}; "
            "the tokenizer belongs to another model"
        )


def _integer(config: dict[str, Any], field: str, folder: Path) -> int:
    value = config.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: field {field} is {value!r}, not a number of 1 or more"
        )
    return value


def _architecture(config: dict[str, Any], folder: Path) -> str:
    listed = config.get("architectures")
    name = listed[0] if isinstance(listed, list) and listed else None
    if not isinstance(name, str):
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: field architectures is missing; save the classifier with "
            "save_pretrained"
        )
    known = ", ".join(ARCHITECTURES)
    if name in ARCHITECTURES:
        model_type = config.get("model_type")
        if model_type != ARCHITECTURES[name]:
            raise CheckpointError(
                f"{folder / CONFIG_FILE}: a {name} has model_type {ARCHITECTURES[name]!r}, "
                f"not {model_type!r}"
            )
        return name
    if name.endswith("ForSequenceClassification"):
        raise CheckpointError(f"{name} is not imported yet; these are: {known}")
    raise CheckpointError(f"{folder} is {_kind(name)} ({name}), not a sequence classifier: {known}")


def _kind(name: str) -> str:
    kinds = {
        "ForCausalLM": "a generation model",
        "LMHeadModel": "a generation model",
        "ForConditionalGeneration": "a generation model",
        "ForMaskedLM": "a language model without a classification head",
        "ForPreTraining": "a language model without a classification head",
        "ForTokenClassification": "a model that labels tokens",
        "ForQuestionAnswering": "a model that answers questions",
        "ForMultipleChoice": "a model that chooses among answers",
        "Model": "a bare encoder without a head",
    }
    return next((kind for end, kind in kinds.items() if name.endswith(end)), "something else")


def _max_tokens(config: dict[str, Any], folder: Path) -> int:
    positions = _integer(config, "max_position_embeddings", folder)
    if config["model_type"] in OFFSET_POSITIONS:
        padding = config.get("pad_token_id")
        positions -= 1 + (padding if isinstance(padding, int) else 1)
    fitting = [length for length in BUCKET_LENGTHS if length <= positions]
    if not fitting or fitting[-1] < LEAST_TOKENS:
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: the model takes texts of {positions} tokens; at least "
            f"{LEAST_TOKENS} are needed"
        )
    # The padded lengths end there too.
    return fitting[-1]


def _require_tokenizer(folder: Path, model_type: str) -> None:
    if not any((folder / name).is_file() for name in (TOKENIZER_FILE, *VOCABULARY_FILES)):
        require_convertible(folder, model_type)
        raise CheckpointError(
            f"no tokenizer in {folder}: neither {TOKENIZER_FILE} nor a vocabulary; save the "
            "tokenizer into the same folder with save_pretrained"
        )


def _hashed(folder: Path, weights: list[Path], pieces: SentencePieceModel | None) -> list[Path]:
    names = (CONFIG_FILE, TOKENIZER_FILE, *VOCABULARY_FILES, "merges.txt", INDEX_FILE)
    there = (folder / name for name in names if (folder / name).is_file())
    return [*weights, *there, *(pieces.files if pieces else ())]
