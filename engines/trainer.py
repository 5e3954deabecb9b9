"""The training loop: what the recipe's method trains of the encoder, and a head. Needs the `train`
extra."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import Progress
from torch import nn

from core.buckets import bucket_length
from core.scores import softmax
from core.tokenizer import pad
from engines.averaged_trainer import AveragedTrainer, Schedule, Weights, write_half
from engines.batches import batches
from engines.data import LabelledText
from engines.errors import DataError
from engines.judged import Judged, judge
from engines.network import Classifier, device
from engines.phases import DATA, FORWARD
from engines.recipe import Recipe, balanced_weights
from engines.training_state import read_state, write_state

AfterEpoch = Callable[[dict[str, Any]], None]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Best:
    """The averaged weights of the epoch that was best on the validation texts."""

    epoch: int
    score: tuple[float, float]
    average: Weights


def pad_rows(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask of a batch, padded to its bucket, int64 tensors of (batch, tokens)."""
    input_ids, attention_mask = pad(rows)
    return torch.from_numpy(input_ids), torch.from_numpy(attention_mask)


class Trainer(AveragedTrainer):
    """One training run, resumable after every epoch from its checkpoint file."""

    def __init__(
        self,
        base: Path,
        labels: tuple[str, ...],
        recipe: Recipe,
        work: Path,
        start: Weights | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        """`start` are the tensors of an adapter to go on from, `schedule` what says of its texts
        and steps; without them it begins with the base, by `recipe`."""
        torch.manual_seed(recipe.seed)
        self.recipe, self.labels, self.work = recipe, labels, work
        self.device = device()
        self.model = Classifier(base, len(labels), recipe).to(self.device)
        if start is not None:
            self.model.load_saved(start)
        self.best: Best | None = None
        self.loss_weights: torch.Tensor | None = None
        super().__init__(base, self.model.trained(), schedule or recipe)

    def run(
        self,
        train: list[LabelledText],
        validation: dict[str, list[LabelledText]],
        after_epoch: AfterEpoch | None = None,
    ) -> list[dict[str, Any]]:
        """Train for the recipe's epochs, or its patience; returns one record of figures an epoch.

        `after_epoch` is called with each record once its checkpoint is written; what it raises
        ends the training.

        Raises:
            DataError: there is nothing to train on, only one label, or none of a label where
                labels are weighted; or nothing to be patient by.
            EngineError: the checkpoint cannot be written.
        """
        self._prepare([item.label for item in train], validation)
        history = self._resume()
        rows = [e.ids for e in self.tokenizer.encode_batch([item.text for item in train])]
        labels = [item.label for item in train]
        with Progress(console=Console(stderr=True)) as progress:
            while self.epoch < self.recipe.epochs and not self._is_out_of_patience():
                record = {
                    "epoch": self.epoch + 1,
                    "loss": self._train_epoch(rows, labels, progress),
                }
                self.epoch += 1
                record |= self._validate(validation)
                progress.console.print(record)
                history.append(record)
                self._checkpoint(history)
                if after_epoch:
                    after_epoch(record)
        if self.best:
            self.average = self.best.average
        return history

    def _prepare(self, labels: list[int], validation: dict[str, list[LabelledText]]) -> None:
        if len(set(labels)) < 2:
            raise DataError("training needs texts of at least two labels")
        if self.recipe.patience and not validation:
            raise DataError("without validation texts nothing says when to stop; set patience to 0")
        if self.recipe.class_weights:
            missing = set(range(len(self.labels))) - set(labels)
            if missing:
                names = ", ".join(self.labels[label] for label in sorted(missing))
                raise DataError(
                    f"labels are weighted by their texts, and there are none of {names}"
                )
            weights = balanced_weights(labels, len(self.labels))
            self.loss_weights = torch.tensor(weights, device=self.device)

    def _train_epoch(self, rows: list[list[int]], labels: list[int], progress: Progress) -> float:
        order = random.Random(self.recipe.seed * 1000 + self.epoch)
        torch.manual_seed(self.recipe.seed * 1000 + self.epoch)
        lengths = [len(row) for row in rows]
        epoch_batches = list(batches(lengths, self.recipe.tokens_per_batch, order, bucket_length))
        total_steps = len(epoch_batches) * self.recipe.epochs
        losses = []
        for batch in progress.track(epoch_batches, description=f"epoch {self.epoch + 1}"):
            with self.mark(DATA):
                ids, mask = pad_rows([rows[i] for i in batch])
                target = torch.tensor([labels[i] for i in batch])
            losses.append(self._step(ids, mask, target, total_steps))
        return float(np.mean(losses))

    def _step(
        self, ids: torch.Tensor, mask: torch.Tensor, target: torch.Tensor, total_steps: int
    ) -> float:
        self._set_rate(self.step, total_steps, self.recipe.last_rate_share)
        self.model.train()
        with self.mark(FORWARD):
            logits = self._forward(ids, mask)
            loss = nn.functional.cross_entropy(
                logits,
                target.to(self.device),
                weight=self.loss_weights,
                label_smoothing=self.recipe.label_smoothing,
            )
        return self._learn(loss)

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            logits: torch.Tensor = self.model(ids.to(self.device), mask.to(self.device))
        return logits

    def _validate(self, validation: dict[str, list[LabelledText]]) -> dict[str, float]:
        """The accuracy on each; with patience also what it goes by, and the best is kept."""
        judged = {name: self.judge(texts) for name, texts in validation.items()}
        figures = {name: each.accuracy for name, each in judged.items()}
        if self.recipe.patience:
            f1 = float(np.mean([each.macro_f1 for each in judged.values()]))
            loss = float(np.mean([each.loss for each in judged.values()]))
            figures |= {"macro_f1": f1, "validation_loss": loss}
            # The loss tells epochs apart that label the same texts rightly.
            if self.best is None or (f1, -loss) > self.best.score:
                copied = {n: value.clone() for n, value in self.average.items()}
                self.best = Best(self.epoch, (f1, -loss), copied)
        return figures

    def _is_out_of_patience(self) -> bool:
        if self.best is None:
            return False
        return self.epoch - self.best.epoch >= self.recipe.patience

    def logits(self, texts: list[str]) -> Floats:
        """Of the averaged weights, shape (texts, labels), float32."""
        self.model.eval()
        rows = [e.ids for e in self.tokenizer.encode_batch(texts)]
        result = np.zeros((len(texts), len(self.labels)), dtype=np.float32)
        lengths = [len(row) for row in rows]
        with self._averaged():
            for batch in batches(lengths, 8192, random.Random(0), bucket_length):
                result[batch] = self._forward(*pad_rows([rows[i] for i in batch])).cpu().numpy()
        return result

    def scores(self, texts: list[str]) -> Floats:
        """Probabilities of the averaged weights, shape (texts, labels), float32."""
        return softmax(self.logits(texts))

    def judge(self, texts: list[LabelledText]) -> Judged:
        """How right the averaged weights are on `texts`."""
        logits = self.logits([item.text for item in texts])
        return judge(logits, np.array([item.label for item in texts], dtype=np.int64))

    def divide_logits(self, temperature: float) -> None:
        """Divide the averaged weights' logits by a temperature, once training is through."""
        for name in ("head.weight", "head.bias"):
            self.average[name] = self.average[name] / temperature

    def _checkpoint(self, history: list[dict[str, Any]]) -> None:
        best = asdict(self.best) if self.best else None
        state = {**self._state(), "best": best, "history": history}
        write_state(state, self.recipe, self.labels, self.work)

    def _resume(self) -> list[dict[str, Any]]:
        state = read_state(self.recipe, self.labels, self.work, self.device)
        if state is None:
            return []
        self._restore(state)
        self.best = Best(**state["best"]) if state["best"] else None
        history: list[dict[str, Any]] = state["history"]
        return history

    def save_adapter(self, path: Path, metadata: dict[str, Any]) -> None:
        """Write what was trained, averaged, and the head as half-precision safetensors.

        What stands in it, and by which names, `Classifier.to_save` says. Equal weights and
        metadata give equal bytes.
        """
        self._load(self.average)
        write_half(self.model.to_save(), path, metadata)
