"""What trainings share: an optimizer, and the average of the weights that it changes. Needs the
`train` extra.

The weights that are kept are an exponential moving average of the trained ones: it costs nothing
and steadies the result.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import save
from tokenizers import Tokenizer
from torch import nn

from engines.merge import METADATA_KEY
from engines.phases import BACKWARD, OPTIMIZER, Mark, unmarked
from engines.whole_file import whole_file

Weights = dict[str, torch.Tensor]


class Schedule(Protocol):
    """What a recipe says of the texts and of the steps."""

    @property
    def max_tokens(self) -> int:
        """Where texts are cut."""

    @property
    def learning_rate(self) -> float:
        """At its height."""

    @property
    def warmup_share(self) -> float:
        """The share of the steps over which the rate rises."""

    @property
    def weight_decay(self) -> float:
        """Of the optimizer."""

    @property
    def averaging_decay(self) -> float:
        """The weight of the past in the average."""


class AveragedTrainer:
    """Trained weights by name, their average, and how far training has come."""

    def __init__(self, base: Path, trained: dict[str, nn.Parameter], schedule: Schedule) -> None:
        self.schedule = schedule
        self.tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(schedule.max_tokens)
        self.trained = trained
        self.average: Weights = {name: p.detach().clone() for name, p in trained.items()}
        self.optimizer = torch.optim.AdamW(
            trained.values(),
            lr=schedule.learning_rate,
            weight_decay=schedule.weight_decay,
            fused=True,
        )
        self.epoch = 0
        self.step = 0
        self.mark: Mark = unmarked

    def _set_rate(self, number: int, steps: int, last_share: float = 0.0) -> None:
        """The learning rate of step `number`, from 0, of so many: it rises, and falls in a line to
        `last_share` of its height."""
        warmup = max(1, round(steps * self.schedule.warmup_share))
        left = (steps - number) / (steps - warmup + 1)
        scale = min((number + 1) / warmup, last_share + (1 - last_share) * left)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate * scale

    def _learn(self, loss: torch.Tensor) -> float:
        """One step down the gradient of a batch's loss; returns the loss."""
        with self.mark(BACKWARD):
            self.optimizer.zero_grad()
            loss.backward()
        with self.mark(OPTIMIZER):
            nn.utils.clip_grad_norm_(self.trained.values(), 1.0)
            self.optimizer.step()
            self.step += 1
            decay = min(self.schedule.averaging_decay, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                torch._foreach_lerp_(
                    list(self.average.values()), list(self.trained.values()), 1 - decay
                )
        return float(loss.item())

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The averaged weights answer meanwhile, without gradients."""
        kept = {name: p.detach().clone() for name, p in self.trained.items()}
        self._load(self.average)
        try:
            with torch.no_grad():
                yield
        finally:
            self._load(kept)

    def _load(self, values: Weights) -> None:
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(values[name])

    def _state(self) -> dict[str, Any]:
        """What a checkpoint needs of this."""
        return {
            "trained": {name: p.detach() for name, p in self.trained.items()},
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._load(state["trained"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step = state["epoch"], state["step"]


def write_half(
    tensors: Mapping[str, torch.Tensor], path: Path, metadata: Mapping[str, Any]
) -> None:
    """Write tensors as half-precision safetensors, whole or not at all.

    Equal tensors and metadata give equal bytes.
    """
    half = {n: t.detach().cpu().to(torch.float16).contiguous() for n, t in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        partial.write_bytes(save(half, {METADATA_KEY: json.dumps(metadata, sort_keys=True)}))
