"""A student: some of its teacher's layers, and the loss that teaches it. Needs the `train` extra.

It starts from every second or third layer of its teacher, as DistilBERT does (Sanh et al. 2019,
arXiv:1910.01108), and learns from three things at once: the teacher's softened scores (Hinton et
al. 2015, arXiv:1503.02531), the labels, and what stands behind the teacher's layers that its own
were taken from (TinyBERT, Jiao et al. 2020, arXiv:1909.10351, for every token; here the mean over
the tokens, which is what the head reads). The tables of words and positions stay the base's, so
that no student stores them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import BertConfig, BertModel

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Teacher:
    """The network to learn from: `weights` by their names in the base, adapter merged in, and the
    head, weight (labels, hidden) and bias (labels,); float32."""

    weights: Mapping[str, Array]
    head_weight: Array
    head_bias: Array


@dataclass(frozen=True)
class Lesson:
    """The weights of the loss.

    `alpha` is the share of the teacher's scores, softened by `temperature`, beside the labels;
    `hidden_weight` that of the distance of mean token vectors, in units of their variance.
    """

    alpha: float
    temperature: float
    hidden_weight: float
    label_smoothing: float


def layers_kept(teacher_layers: int, layers: int) -> tuple[int, ...]:
    """Which of the teacher's layers, from 0, a student of `layers` takes: evenly, with the last."""
    return tuple(-(-(i + 1) * teacher_layers // layers) - 1 for i in range(layers))


class Student(nn.Module):
    """Some of the teacher's layers, mean pooling over real tokens, and its head."""

    def __init__(self, base: Path, teacher: Teacher, kept: tuple[int, ...]) -> None:
        super().__init__()
        config = BertConfig.from_pretrained(base)
        config.num_hidden_layers = len(kept)
        # Dropout costs much of a step on a CPU; the teacher's scores and averaged weights steady
        # the result instead.
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
        config._attn_implementation = "eager"
        self.encoder = BertModel(config, add_pooling_layer=False)
        self.head = nn.Linear(config.hidden_size, len(teacher.head_bias))
        self._start_from(teacher, kept)
        for name, parameter in self.encoder.named_parameters():
            parameter.requires_grad = name not in TABLES

    def _start_from(self, teacher: Teacher, kept: tuple[int, ...]) -> None:
        weights = {n: v for n, v in teacher.weights.items() if n.startswith("embeddings.")}
        for layer, source in enumerate(kept):
            prefix = f"encoder.layer.{source}."
            weights |= {
                f"encoder.layer.{layer}.{name.removeprefix(prefix)}": value
                for name, value in teacher.weights.items()
                if name.startswith(prefix)
            }
        own = {name: torch.tensor(weights[name]) for name, _ in self.encoder.named_parameters()}
        with torch.no_grad():
            for name, parameter in self.encoder.named_parameters():
                parameter.copy_(own[name])
            self.head.weight.copy_(torch.tensor(teacher.head_weight))
            self.head.bias.copy_(torch.tensor(teacher.head_bias))

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (batch, labels) and each layer's mean token vector (batch, layers, hidden), both
        float32, from two (batch, tokens) int64 tensors."""
        answered = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True
        )
        mask = attention_mask.unsqueeze(-1).float()
        count = mask.sum(1)
        means = [(hidden.float() * mask).sum(1) / count for hidden in answered.hidden_states[1:]]
        return self.head(means[-1]).float(), torch.stack(means, dim=1)

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that training changes, by their names in an adapter file."""
        named = {n.removeprefix("encoder."): p for n, p in self.named_parameters()}
        return {n: p for n, p in named.items() if p.requires_grad}


# Frozen: the base's own serve every student.
TABLES = frozenset(
    f"embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type")
)


def loss_of(
    logits: torch.Tensor,
    means: torch.Tensor,
    labels: torch.Tensor,
    teacher_logits: torch.Tensor,
    teacher_means: torch.Tensor,
    lesson: Lesson,
) -> torch.Tensor:
    """The loss of a batch, a scalar.

    Args:
        logits: the student's, (batch, labels). means: its layers', (batch, layers, hidden).
        labels: int64 (batch,).
        teacher_logits: (batch, labels). teacher_means: those of the layers kept, as `means`; both
            means divided by the spread of the teacher's.
    """
    soft = nn.functional.kl_div(
        (logits / lesson.temperature).log_softmax(-1),
        (teacher_logits / lesson.temperature).log_softmax(-1),
        log_target=True,
        reduction="batchmean",
    )
    hard = nn.functional.cross_entropy(logits, labels, label_smoothing=lesson.label_smoothing)
    apart = nn.functional.mse_loss(means, teacher_means)
    # Softened scores have gradients smaller by the temperature squared (Hinton et al., 2.1).
    soft = soft * lesson.temperature**2
    return lesson.alpha * soft + (1 - lesson.alpha) * hard + lesson.hidden_weight * apart
