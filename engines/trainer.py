"""The training loop: LoRA and a linear head over a frozen encoder. Needs the `train` extra.

What is learned is low-rank updates of the encoder's linear layers (LoRA, Hu et al. 2021,
arXiv:2106.09685) and a linear head over the mean of the token vectors. The weights that are kept
are an exponential moving average of the trained ones: it costs nothing and steadies the result.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from rich.progress import Progress
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoModel

from core.buckets import bucket_length
from core.tokenizer import pad
from engines.data import LabelledText
from engines.errors import DataError
from engines.merge import METADATA_KEY

CHECKPOINT = "checkpoint.pt"
MOST_ROWS = 64
AfterEpoch = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Recipe:
    """How an adapter is trained. Everything that decides its bytes, but the data and the base.

    The learning rate rises over the first `warmup_share` of the steps and falls in a line to
    `last_rate_share` of its height. Averaged weights gain most where the rate stays high
    (stochastic weight averaging, Izmailov et al. 2018, arXiv:1803.05407).
    """

    epochs: int
    max_tokens: int
    rank: int = 16
    alpha: int = 32
    learning_rate: float = 6e-4
    warmup_share: float = 0.06
    last_rate_share: float = 0.0
    weight_decay: float = 0.01
    head_dropout: float = 0.1
    label_smoothing: float = 0.05
    averaging_decay: float = 0.998
    tokens_per_batch: int = 4096
    seed: int = 50


class Classifier(nn.Module):
    """The base with LoRA, mean pooling over real tokens, and a linear head."""

    def __init__(self, base: Path, labels: int, recipe: Recipe) -> None:
        super().__init__()
        encoder = AutoModel.from_pretrained(
            base,
            add_pooling_layer=False,
            attn_implementation="eager",
            # Dropout inside the encoder costs half of a training step on a CPU (its random
            # numbers are drawn by one thread); averaged weights and smoothed labels steady the
            # result instead.
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        config = LoraConfig(
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            target_modules=["query", "key", "value", "dense"],
        )
        self.encoder = get_peft_model(encoder, config)
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


def batches(lengths: list[int], tokens_per_batch: int, order: random.Random) -> Iterator[list[int]]:
    """Yield shuffled batches of indices whose texts share a bucket length.

    A bucket has one batch size, but for its last batch: oneDNN compiles a kernel for every new
    shape, and with shapes that hardly repeat, training takes several times as long.
    """
    by_bucket: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        by_bucket.setdefault(bucket_length(length), []).append(index)
    grouped: list[list[int]] = []
    for bucket, indices in sorted(by_bucket.items()):
        order.shuffle(indices)
        rows = min(MOST_ROWS, max(1, tokens_per_batch // bucket))
        grouped += [indices[i : i + rows] for i in range(0, len(indices), rows)]
    order.shuffle(grouped)
    yield from grouped


def pad_rows(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask of a batch, padded to its bucket, int64 tensors of (batch, tokens)."""
    input_ids, attention_mask = pad(rows)
    return torch.from_numpy(input_ids), torch.from_numpy(attention_mask)


class Trainer:
    """One training run, resumable after every epoch from its checkpoint file."""

    def __init__(self, base: Path, labels: tuple[str, ...], recipe: Recipe, work: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.labels, self.work = recipe, labels, work
        self.tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(recipe.max_tokens)
        self.model = Classifier(base, len(labels), recipe)
        self.average = {n: p.detach().clone() for n, p in self.model.trained().items()}
        self.optimizer = torch.optim.AdamW(
            self.model.trained().values(),
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self.epoch = 0
        self.step = 0

    def run(
        self,
        train: list[LabelledText],
        validation: dict[str, list[LabelledText]],
        after_epoch: AfterEpoch | None = None,
    ) -> list[dict[str, Any]]:
        """Train for the recipe's epochs; returns one record of figures an epoch.

        `after_epoch` is called with each record once its checkpoint is written; what it raises
        ends the training.

        Raises:
            DataError: there is nothing to train on, or only one label.
        """
        if len({item.label for item in train}) < 2:
            raise DataError("training needs texts of at least two labels")
        history = self._resume()
        rows = [e.ids for e in self.tokenizer.encode_batch([item.text for item in train])]
        labels = [item.label for item in train]
        lengths = [len(row) for row in rows]
        with Progress() as progress:
            while self.epoch < self.recipe.epochs:
                order = random.Random(self.recipe.seed * 1000 + self.epoch)
                torch.manual_seed(self.recipe.seed * 1000 + self.epoch)
                epoch_batches = list(batches(lengths, self.recipe.tokens_per_batch, order))
                bar = progress.add_task(f"epoch {self.epoch + 1}", total=len(epoch_batches))
                losses = []
                for batch in epoch_batches:
                    ids, mask = pad_rows([rows[i] for i in batch])
                    target = torch.tensor([labels[i] for i in batch])
                    total_steps = len(epoch_batches) * self.recipe.epochs
                    losses.append(self._step(ids, mask, target, total_steps))
                    progress.advance(bar)
                self.epoch += 1
                record = {"epoch": self.epoch, "loss": float(np.mean(losses))}
                for name, texts in validation.items():
                    record[name] = self.accuracy(texts)
                progress.console.print(record)
                history.append(record)
                self._checkpoint(history)
                if after_epoch:
                    after_epoch(record)
        return history

    def _step(
        self, ids: torch.Tensor, mask: torch.Tensor, target: torch.Tensor, total_steps: int
    ) -> float:
        warmup = max(1, round(total_steps * self.recipe.warmup_share))
        left = (total_steps - self.step) / (total_steps - warmup + 1)
        last = self.recipe.last_rate_share
        scale = min((self.step + 1) / warmup, last + (1 - last) * left)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * scale
        self.model.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self.model(ids, mask)
        loss = nn.functional.cross_entropy(
            logits, target, label_smoothing=self.recipe.label_smoothing
        )
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.trained().values(), 1.0)
        self.optimizer.step()
        self.step += 1
        decay = min(self.recipe.averaging_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.average.values()), list(self.model.trained().values()), 1 - decay
            )
        return float(loss.item())

    def scores(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Probabilities of the averaged weights, shape (texts, labels), float32."""
        kept = {n: p.detach().clone() for n, p in self.model.trained().items()}
        self._load(self.average)
        self.model.eval()
        rows = [e.ids for e in self.tokenizer.encode_batch(texts)]
        result = np.zeros((len(texts), len(self.labels)), dtype=np.float32)
        lengths = [len(row) for row in rows]
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            for batch in batches(lengths, 8192, random.Random(0)):
                ids, mask = pad_rows([rows[i] for i in batch])
                result[batch] = self.model(ids, mask).softmax(-1).numpy()
        self._load(kept)
        return result

    def accuracy(self, texts: list[LabelledText]) -> float:
        """Share of `texts` labelled rightly by the averaged weights."""
        predicted = self.scores([item.text for item in texts]).argmax(1)
        return float(np.mean(predicted == np.array([item.label for item in texts])))

    def _load(self, values: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.model.trained().items():
                parameter.copy_(values[name])

    def _checkpoint(self, history: list[dict[str, Any]]) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        state = {
            "recipe": json.dumps(asdict(self.recipe)),
            "labels": list(self.labels),
            "trained": {n: p.detach() for n, p in self.model.trained().items()},
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "history": history,
        }
        partial = self.work / f"{CHECKPOINT}.partial"
        torch.save(state, partial)
        partial.replace(self.work / CHECKPOINT)

    def _resume(self) -> list[dict[str, Any]]:
        path = self.work / CHECKPOINT
        if not path.is_file():
            return []
        state = torch.load(path, weights_only=True)
        same = state["recipe"] == json.dumps(asdict(self.recipe))
        if not same or state["labels"] != list(self.labels):
            raise DataError(f"{path} was written by another recipe; delete it to start afresh")
        self._load(state["trained"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step = state["epoch"], state["step"]
        history: list[dict[str, Any]] = state["history"]
        return history

    def save_adapter(self, path: Path, metadata: dict[str, Any]) -> None:
        """Write the averaged adapter and head as half-precision safetensors.

        Keys are peft's (`base_model.model.encoder.layer.N.….lora_A.weight`, shape (rank, in);
        `lora_B`, shape (out, rank)) and `head.weight` (labels, hidden), `head.bias` (labels,).
        Equal weights and metadata give equal bytes.
        """
        self._load(self.average)
        tensors = dict(get_peft_model_state_dict(self.model.encoder))
        tensors["head.weight"] = self.model.head.weight
        tensors["head.bias"] = self.model.head.bias
        half = {n: t.detach().to(torch.float16).contiguous() for n, t in tensors.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(half, path, metadata={METADATA_KEY: json.dumps(metadata, sort_keys=True)})
