from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, processors

from core.card import TOKENIZER_FILE
from engines import checkpoint_weights
from engines.checkpoint import read_checkpoint
from engines.checksums import file_sha256
from engines.errors import CheckpointError
from engines.hub import checkpoint_folder
from tests.engines.tiny_checkpoints import LABELS, hand_made, save_weights

WEIGHTS = "model.safetensors"


def test_a_whole_checkpoint_is_read(tmp_path: Path) -> None:
    folder = hand_made(tmp_path / "checkpoint")
    found = read_checkpoint(folder)
    assert found.labels == LABELS
    assert found.problem_type == "single_label"
    assert found.max_tokens == 512
    assert found.notes == ()
    assert found.files[WEIGHTS] == file_sha256(folder / WEIGHTS)
    assert {"config.json", TOKENIZER_FILE} < set(found.files)


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        ("GPT2LMHeadModel", "a generation model"),
        ("LlamaForCausalLM", "a generation model"),
        ("T5ForConditionalGeneration", "a generation model"),
        ("BertModel", "a bare encoder without a head"),
        ("BertForMaskedLM", "without a classification head"),
        ("BertForTokenClassification", "labels tokens"),
        ("BigBirdForSequenceClassification", "not imported yet"),
        (None, "field architectures is missing"),
    ],
)
def test_other_kinds_of_models_are_named(
    tmp_path: Path, architecture: str | None, said: str
) -> None:
    folder = hand_made(tmp_path, architectures=[architecture] if architecture else None)
    with pytest.raises(CheckpointError, match=said):
        read_checkpoint(folder)


def test_an_architecture_under_another_model_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="model_type 'bert', not 'gpt2'"):
        read_checkpoint(hand_made(tmp_path, model_type="gpt2"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"auto_map": {"AutoModel": "code.Model"}}, "auto_map asks to run Python code"),
        ({"quantization_config": {"bits": 4}}, "quantized already"),
        ({"id2label": None}, "id2label is missing; name the 3 labels with --labels"),
        ({"id2label": {"0": "a", "1": "b"}}, "has 2 labels, the model 3 outputs"),
        ({"id2label": {"0": "a", "1": "b", "7": "c"}}, "must map 0, 1, … to names"),
        ({"id2label": {"0": "a", "1": "b", "2": "b"}}, "names a label twice"),
        ({"id2label": {"0": "a", "1": "b", "2": "c\nd"}}, "longer than a line"),
        ({"problem_type": "ranking"}, "problem_type is 'ranking', not one of"),
        ({"problem_type": "regression"}, "a regression of 3 values is not served"),
        ({"max_position_embeddings": 100}, "texts of 100 tokens; at least 128"),
        ({"max_position_embeddings": None}, "max_position_embeddings is None"),
        ({"vocab_size": "many"}, "vocab_size is 'many'"),
        ({"vocab_size": 20}, "the tokenizer belongs to another model"),
    ],
)
def test_a_wrong_configuration_names_its_field(
    tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(CheckpointError, match=said):
        read_checkpoint(hand_made(tmp_path, **fields))


def test_configurations_that_are_missing_or_no_json(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no folder"):
        read_checkpoint(tmp_path / "nowhere")
    folder = hand_made(tmp_path / "checkpoint")
    (folder / "config.json").write_text('{"architectures": [')
    with pytest.raises(CheckpointError, match=r"config\.json is not JSON"):
        read_checkpoint(folder)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        read_checkpoint(folder)
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="merge_and_unload"):
        read_checkpoint(folder)


def test_code_that_comes_with_the_tokenizer_is_refused_too(tmp_path: Path) -> None:
    folder = hand_made(tmp_path)
    (folder / "tokenizer_config.json").write_text(json.dumps({"auto_map": {}}))
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json: auto_map"):
        read_checkpoint(folder)


def test_pickles_are_refused_and_never_read(tmp_path: Path) -> None:
    folder = hand_made(tmp_path)
    (folder / WEIGHTS).unlink()
    touched = tmp_path / "touched"
    # A pickle that would leave a file behind if anything read it.
    (folder / "pytorch_model.bin").write_bytes(
        b"cbuiltins\nopen\n(S'" + str(touched).encode() + b"'\nS'w'\ntR."
    )
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin .*never read.*save_pretrained"):
        read_checkpoint(folder)
    assert not touched.exists()


def test_weights_that_are_cut_short_or_garbage(tmp_path: Path) -> None:
    folder = hand_made(tmp_path)
    whole = (folder / WEIGHTS).read_bytes()
    for broken in (whole[:-1], whole[:6], b"", whole + b"\0", b"\xff" * len(whole)):
        (folder / WEIGHTS).write_bytes(broken)
        with pytest.raises(CheckpointError, match=r"model\.safetensors is corrupt or cut short"):
            read_checkpoint(folder)


def test_every_shard_must_be_there_and_whole(tmp_path: Path) -> None:
    folder = hand_made(tmp_path)
    (folder / WEIGHTS).unlink()
    index = folder / "model.safetensors.index.json"
    shards = {"classifier.weight": "one.safetensors", "other": "two.safetensors"}
    index.write_text(json.dumps({"weight_map": shards}))
    save_file({"classifier.weight": np.ones((3, 8), np.float32)}, folder / "one.safetensors")
    with pytest.raises(CheckpointError, match=r"names 'two\.safetensors', which is not in"):
        read_checkpoint(folder)
    save_file({"other": np.ones(4, np.float32)}, folder / "two.safetensors")
    assert {"one.safetensors", "two.safetensors"} < set(read_checkpoint(folder).files)
    (folder / "two.safetensors").write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"two\.safetensors is corrupt"):
        read_checkpoint(folder)
    for name in ("../one.safetensors", "/etc/passwd"):
        index.write_text(json.dumps({"weight_map": {"classifier.weight": name}}))
        with pytest.raises(CheckpointError, match="which is not in"):
            read_checkpoint(folder)
    index.write_text("{}")
    with pytest.raises(CheckpointError, match="weight_map"):
        read_checkpoint(folder)


def test_weights_without_a_head(tmp_path: Path) -> None:
    folder = hand_made(tmp_path)
    save_file({"encoder.weight": np.ones((8, 8), np.float32)}, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match="no classification head"):
        read_checkpoint(folder)


def test_weights_beyond_one_onnx_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_weights, "MOST_WEIGHT_BYTES", 50)
    with pytest.raises(CheckpointError, match="fit an ONNX file"):
        read_checkpoint(hand_made(tmp_path))


def test_labels_that_are_given_replace_the_checkpoints(tmp_path: Path) -> None:
    folder = hand_made(tmp_path, id2label=None)
    assert read_checkpoint(folder, labels=("x", "y", "z")).labels == ("x", "y", "z")
    with pytest.raises(CheckpointError, match="--labels has 2 labels, the model 3 outputs"):
        read_checkpoint(folder, labels=("x", "y"))


def test_labels_without_names_are_taken_with_a_note(tmp_path: Path) -> None:
    numbered = {str(index): f"LABEL_{index}" for index in range(3)}
    found = read_checkpoint(hand_made(tmp_path, id2label=numbered))
    assert found.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    assert "--labels" in found.notes[0]


@pytest.mark.parametrize(
    ("problem_type", "outputs", "expected"),
    [
        (None, 3, "single_label"),
        ("multi_label_classification", 3, "multi_label"),
        (None, 1, "regression"),
        ("regression", 1, "regression"),
        ("multi_label_classification", 1, "multi_label"),
    ],
)
def test_what_the_outputs_mean(
    tmp_path: Path, problem_type: str | None, outputs: int, expected: str
) -> None:
    table = {str(index): f"LABEL_{index}" for index in range(outputs)}
    folder = hand_made(tmp_path, problem_type=problem_type, id2label=table)
    save_weights(folder, outputs)
    found = read_checkpoint(folder)
    assert found.problem_type == expected
    assert expected != "regression" or found.labels == ("score",)


def test_one_output_cannot_choose_a_label(tmp_path: Path) -> None:
    folder = hand_made(tmp_path, problem_type="single_label_classification", id2label=None)
    save_weights(folder, 1)
    with pytest.raises(CheckpointError, match="one output cannot choose"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("architecture", "model_type", "positions", "expected"),
    [
        ("BertForSequenceClassification", "bert", 200, 192),
        ("RobertaForSequenceClassification", "roberta", 514, 512),
        ("RobertaForSequenceClassification", "roberta", 512, 384),
        ("ModernBertForSequenceClassification", "modernbert", 8192, 512),
    ],
)
def test_texts_are_as_long_as_positions_and_padded_lengths_allow(
    tmp_path: Path, architecture: str, model_type: str, positions: int, expected: int
) -> None:
    folder = hand_made(
        tmp_path,
        architectures=[architecture],
        model_type=model_type,
        max_position_embeddings=positions,
    )
    assert read_checkpoint(folder).max_tokens == expected


def test_a_tokenizer_that_is_missing_broken_or_of_another_kind(tmp_path: Path) -> None:
    folder = hand_made(tmp_path)
    path = folder / TOKENIZER_FILE
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    tokenizer.save(str(path))
    with pytest.raises(CheckpointError, match="puts 0 special tokens"):
        read_checkpoint(folder)
    path.write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is not a tokenizer"):
        read_checkpoint(folder)
    path.unlink()
    with pytest.raises(CheckpointError, match="no tokenizer in"):
        read_checkpoint(folder)
    (folder / "spm.model").write_bytes(b"pieces")
    with pytest.raises(CheckpointError, match=r"SentencePiece model alone, spm\.model, of a bert"):
        read_checkpoint(folder)
    (folder / "vocab.txt").write_text("[PAD]\n")
    assert not read_checkpoint(folder).has_tokenizer_file


def test_a_source_is_a_folder_or_a_name_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, list[str]]] = []

    def fetch(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        if name == "someone/else":
            raise OSError("out of reach\nand more")
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert checkpoint_folder(str(tmp_path)) == tmp_path
    assert asked == []
    assert checkpoint_folder("someone/model") == tmp_path
    ((_, allowed),) = asked
    assert "*.safetensors" in allowed
    assert not any(pattern.endswith((".bin", ".py", ".pt")) for pattern in allowed)
    with pytest.raises(CheckpointError, match=r"no folder someone/else, .*out of reach"):
        checkpoint_folder("someone/else")
    with pytest.raises(CheckpointError, match="no folder"):
        checkpoint_folder(str(tmp_path / "nowhere"))
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="is a file"):
        checkpoint_folder(str(tmp_path / "file"))
