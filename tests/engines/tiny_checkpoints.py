"""Checkpoints of random weights: a hand-made folder that only looks like one, and real ones of
every architecture, which need PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tests.tiny import write_tokenizer

LABELS = ("low", "middle", "high")
VOCABULARY = 128
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 512,
    # Ten times the usual, so that answers differ from text to text.
    "initializer_range": 0.2,
}
# Configuration class by architecture, with what differs from SIZES.
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "AlbertForSequenceClassification": ("AlbertConfig", {"embedding_size": 32}),
    "BertForSequenceClassification": ("BertConfig", {}),
    "DebertaV2ForSequenceClassification": (
        "DebertaV2Config",
        {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "share_att_key": True,
            "position_buckets": 32,
            "norm_rel_ebd": "layer_norm",
            "position_biased_input": False,
            "type_vocab_size": 0,
            "max_relative_positions": -1,
        },
    ),
    "DistilBertForSequenceClassification": ("DistilBertConfig", {"hidden_dim": 128}),
    "ElectraForSequenceClassification": ("ElectraConfig", {"embedding_size": 32}),
    "MPNetForSequenceClassification": ("MPNetConfig", {"max_position_embeddings": 514}),
    "ModernBertForSequenceClassification": (
        "ModernBertConfig",
        {
            "global_attn_every_n_layers": 2,
            "local_attention": 32,
            "pad_token_id": 0,
            "cls_token_id": 2,
            "sep_token_id": 3,
            "bos_token_id": 2,
            "eos_token_id": 3,
        },
    ),
    "RobertaForSequenceClassification": ("RobertaConfig", {"max_position_embeddings": 514}),
    "XLMRobertaForSequenceClassification": ("XLMRobertaConfig", {"max_position_embeddings": 514}),
}


def hand_made(folder: Path, **config: Any) -> Path:
    """A folder that passes every check made before the weights are loaded; a `config` field of
    None is left out."""
    fields: dict[str, Any] = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 512,
        "id2label": {str(index): label for index, label in enumerate(LABELS)},
    }
    fields = {key: value for key, value in (fields | config).items() if value is not None}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(fields), encoding="utf-8")
    save_weights(folder, len(LABELS))
    write_tokenizer(folder / "tokenizer.json")
    return folder


def save_weights(folder: Path, outputs: int) -> None:
    """A safetensors file with nothing but a head."""
    head = {"classifier.weight": np.ones((outputs, 8), np.float32)}
    save_file(head, folder / "model.safetensors")


def write_checkpoint(
    folder: Path,
    architecture: str,
    labels: tuple[str, ...] = LABELS,
    *,
    biases: float = 0.0,
    **config: Any,
) -> Path:
    """A checkpoint with random weights, as transformers saves it, and biases that are apart by
    `biases`; transformers itself leaves them at 0, and all layer norms at 1."""
    import torch
    import transformers

    kind, changes = ARCHITECTURES[architecture]
    sizes = SIZES | changes | config
    torch.manual_seed(0)
    made = getattr(transformers, kind)(
        **sizes,
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    model = getattr(transformers, architecture)(made)
    if biases:
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    parameter += biases * torch.randn_like(parameter)
    model.save_pretrained(folder)
    write_tokenizer(folder / "tokenizer.json")
    return folder
