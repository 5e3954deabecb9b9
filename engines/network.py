"""The network that is trained: the base encoder, what may change of it, and a linear head.

Low-rank updates are peft's (LoRA, Hu et al. 2021, arXiv:2106.09685). Needs the `train` extra.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import (
    LoraConfig,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from torch import nn
from transformers import AutoModel, BitsAndBytesConfig

from engines.errors import AdapterError, EngineError
from engines.merge import WEIGHTS
from engines.recipe import Recipe

WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"


def device() -> torch.device:
    """The GPU where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def use_threads(count: int) -> None:
    """Let PyTorch compute with so many threads; 0 leaves it every core."""
    if count:
        torch.set_num_threads(count)


def require_trainable(recipe: Recipe) -> None:
    """Raise EngineError if this machine cannot train as the recipe says."""
    if recipe.method != "qlora":
        return
    if not torch.cuda.is_available():
        raise EngineError(
            "--method qlora needs a GPU that PyTorch can use, because the base is held in 4 bits "
            "there; here there is none. Use --method lora: the base encoder is small"
        )
    if find_spec("bitsandbytes") is None:
        raise EngineError(
            "--method qlora needs bitsandbytes, which holds the base in 4 bits: `pip install "
            "bitsandbytes`, or use --method lora"
        )


class Classifier(nn.Module):
    """The base, mean pooling over real tokens, and a linear head."""

    def __init__(self, base: Path, labels: int, recipe: Recipe) -> None:
        super().__init__()
        require_trainable(recipe)
        # It tells of the base's pooling layer, which is not used, at every start.
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        encoder = AutoModel.from_pretrained(
            base,
            add_pooling_layer=False,
            attn_implementation="eager",
            # Dropout inside the encoder costs half of a training step on a CPU (its random
            # numbers are drawn by one thread); averaged weights and smoothed labels steady the
            # result instead.
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            **(_in_four_bits() if recipe.method == "qlora" else {}),
        )
        if recipe.gradient_checkpointing:
            encoder.activation_checkpointing_enable({"use_reentrant": False})
        self.recipe = recipe
        self.layers = int(encoder.config.num_hidden_layers)
        self.encoder = (
            _all_but_words(encoder) if recipe.method == "full" else _adapted(encoder, recipe)
        )
        self.dropout = nn.Dropout(recipe.head_dropout)
        self.head = nn.Linear(encoder.config.hidden_size, labels)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Logits, shape (batch, labels), float32, from two (batch, tokens) int64 tensors."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * mask).sum(1) / mask.sum(1)
        logits: torch.Tensor = self.head(self.dropout(pooled))
        return logits.float()

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that training changes, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def to_save(self) -> dict[str, torch.Tensor]:
        """What an adapter file holds: a low-rank update by peft's names, or else weights by the
        base's, and `head.weight` (labels, hidden), `head.bias` (labels,)."""
        if self.recipe.method == "full":
            named = self.encoder.named_parameters()
            tensors = {name: p for name, p in named if p.requires_grad}
        else:
            tensors = dict(get_peft_model_state_dict(self.encoder))
        return {**tensors, "head.weight": self.head.weight, "head.bias": self.head.bias}

    def load_saved(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back what `to_save` gave.

        Raises:
            AdapterError: they are another network's.
        """
        named = {name: tensor.float() for name, tensor in tensors.items()}
        head = {name: named.pop(f"head.{name}") for name in ("weight", "bias")}
        self.head.load_state_dict(head)
        if self.recipe.method == "full":
            found = self.encoder.load_state_dict(named, strict=False)
        else:
            found = set_peft_model_state_dict(self.encoder, named)
        if found.unexpected_keys:
            raise AdapterError(f"this network has no {found.unexpected_keys[0]}: train it anew")

    def kind(self) -> dict[str, Any]:
        """What an adapter file's metadata says of how to put it into the base."""
        if self.recipe.method == "full":
            return {"kind": WEIGHTS, "layers": self.layers}
        return {"alpha": self.recipe.alpha, "rank": self.recipe.rank}


def _adapted(encoder: nn.Module, recipe: Recipe) -> Any:
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules=["query", "key", "value", "dense"],
    )
    with warnings.catch_warnings():
        # peft 0.21 asks transformers 5 by the old name.
        warnings.filterwarnings("ignore", ".is_gradient_checkpointing. is deprecated")
        return get_peft_model(encoder, config)


def _all_but_words(encoder: nn.Module) -> nn.Module:
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad = name != WORD_EMBEDDINGS
    return encoder


def _in_four_bits() -> dict[str, Any]:
    quantized = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": quantized, "device_map": {"": 0}}
