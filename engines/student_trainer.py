"""Trains one student from its teacher's answers. Needs the `train` extra."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TaskID

from engines.averaged_trainer import AveragedTrainer, write_half
from engines.batches import batches
from engines.data import LabelledText
from engines.errors import DataError
from engines.short_padding import padded, padded_length
from engines.student import Lesson, Student, Teacher, loss_of
from engines.teacher_answers import TeacherAnswers
from engines.training_state import FILE, save_whole

TOKENS_PER_SCORED_BATCH = 8192


@dataclass(frozen=True)
class DistillRecipe:
    """How a student is taught. Everything that decides its bytes, but the data and the teacher.

    In every epoch the learning rate rises over the first `warmup_share` of the steps and falls in
    a line to zero (warm restarts, Loshchilov and Hutter 2017, arXiv:1608.03983), so that a student
    can go on learning for more epochs. What is kept is an exponential moving average of the
    weights.
    """

    epochs: int = 3
    max_tokens: int = 128
    alpha: float = 0.7
    temperature: float = 2.0
    hidden_weight: float = 1.0
    label_smoothing: float = 0.05
    learning_rate: float = 3e-4
    warmup_share: float = 0.06
    weight_decay: float = 0.01
    averaging_decay: float = 0.995
    tokens_per_batch: int = 4096
    seed: int = 50

    @property
    def lesson(self) -> Lesson:
        """The weights of the loss."""
        return Lesson(self.alpha, self.temperature, self.hidden_weight, self.label_smoothing)


@dataclass(frozen=True)
class Examples:
    """What is learned from: token ids of each text, its label, and the teacher's answers."""

    rows: Sequence[list[int]]
    labels: Sequence[int]
    answers: TeacherAnswers


class StudentTrainer(AveragedTrainer):
    """One student's training, resumable after every epoch from its checkpoint file."""

    def __init__(
        self,
        base: Path,
        teacher: Teacher,
        kept: tuple[int, ...],
        recipe: DistillRecipe,
        work: Path,
        threads: int = 0,
    ) -> None:
        """`kept` are the teacher's layers, from 0, that the student starts from; `work` keeps the
        checkpoint; `threads` are PyTorch's, 0 for as many as it likes."""
        if threads:
            torch.set_num_threads(threads)
        self.kept = kept
        self.recipe, self.work = recipe, work
        torch.manual_seed(recipe.seed)
        self.model = Student(base, teacher, self.kept)
        super().__init__(base, self.model.trained(), recipe)

    def run(
        self, examples: Examples, validation: dict[str, list[LabelledText]], key: str
    ) -> list[dict[str, Any]]:
        """Train until the recipe's epochs are full; returns one record of figures an epoch.

        Args:
            examples: what is learned from.
            validation: texts by name, whose accuracy is recorded after every epoch.
            key: checksum of teacher and data, which a checkpoint must have too.

        Raises:
            DataError: the checkpoint is of another recipe, teacher or data.
        """
        recipe = {name: value for name, value in asdict(self.recipe).items() if name != "epochs"}
        key = json.dumps({"key": key, "layers": self.kept, **recipe})
        history = self._resume(key)
        spread = _spread(examples.answers.hidden[:, self.kept])
        columns = (*Progress.get_default_columns(), MofNCompleteColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            while self.epoch < self.recipe.epochs:
                title = f"{len(self.kept)} layers, epoch {self.epoch + 1}/{self.recipe.epochs}"
                bar = progress.add_task(title)
                record = {
                    "epoch": self.epoch + 1,
                    "loss": self._epoch(examples, spread, progress, bar),
                }
                self.epoch += 1
                for name, texts in validation.items():
                    record[name] = self.accuracy(texts)
                progress.console.print(record)
                history.append(record)
                self._checkpoint(history, key)
        return history

    def _epoch(
        self, examples: Examples, spread: torch.Tensor, progress: Progress, bar: TaskID
    ) -> float:
        """Mean loss of one pass over the texts."""
        order = random.Random(self.recipe.seed * 1000 + self.epoch)
        lengths = [len(row) for row in examples.rows]
        chosen = list(batches(lengths, self.recipe.tokens_per_batch, order, padded_length))
        progress.update(bar, total=len(chosen))
        losses = []
        for number, batch in enumerate(chosen):
            self._set_rate(number, len(chosen))
            losses.append(self._step(examples, batch, spread))
            progress.advance(bar)
        return float(np.mean(losses))

    def _step(self, examples: Examples, batch: list[int], spread: torch.Tensor) -> float:
        self.model.train()
        ids, mask = map(torch.from_numpy, padded([examples.rows[i] for i in batch]))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits, means = self.model(ids, mask)
        # One row of a memory map after the other, in the order of the file.
        place = np.argsort(batch)
        taken = np.empty((len(batch), *examples.answers.hidden.shape[1:]), dtype=np.float32)
        taken[place] = examples.answers.hidden[np.array(batch)[place]]
        loss = loss_of(
            logits,
            means / spread,
            torch.tensor([examples.labels[i] for i in batch]),
            torch.from_numpy(examples.answers.logits[batch].astype(np.float32)),
            torch.from_numpy(taken[:, self.kept]) / spread,
            self.recipe.lesson,
        )
        return self._learn(loss)

    def logits(self, texts: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Logits of the averaged weights, shape (texts, labels), float32."""
        self.model.eval()
        rows = [e.ids for e in self.tokenizer.encode_batch(texts)]
        lengths = [len(row) for row in rows]
        order = random.Random(0)
        result = np.zeros((len(texts), self.model.head.out_features), dtype=np.float32)
        with self._averaged():
            for batch in batches(lengths, TOKENS_PER_SCORED_BATCH, order, padded_length):
                ids, mask = map(torch.from_numpy, padded([rows[i] for i in batch]))
                result[batch] = self.model(ids, mask)[0].numpy()
        return result

    def accuracy(self, texts: list[LabelledText]) -> float:
        """Share of `texts` labelled rightly by the averaged weights."""
        predicted = self.logits([item.text for item in texts]).argmax(1)
        return float(np.mean(predicted == np.array([item.label for item in texts])))

    def _checkpoint(self, history: list[dict[str, Any]], key: str) -> None:
        save_whole({"key": key, **self._state(), "history": history}, self.work)

    def _resume(self, key: str) -> list[dict[str, Any]]:
        path = self.work / FILE
        if not path.is_file():
            return []
        state = torch.load(path, weights_only=True)
        if state["key"] != key:
            raise DataError(
                f"{path} was written by another recipe, teacher or data; delete {self.work}, or "
                "name another folder with --out"
            )
        self._restore(state)
        history: list[dict[str, Any]] = state["history"]
        return history

    def save(self, path: Path, metadata: dict[str, Any]) -> None:
        """Write the averaged weights as half-precision safetensors, by their names in the base,
        and `head.weight` (labels, hidden), `head.bias` (labels,)."""
        write_half(self.average, path, metadata)


def _spread(hidden: np.ndarray[Any, np.dtype[np.float16]]) -> torch.Tensor:
    """Standard deviation over texts of each layer's mean token vectors, (layers, 1), so that no
    layer counts for more than another."""
    sample = hidden[:: max(1, len(hidden) // 4096)].astype(np.float32)
    return torch.from_numpy(np.sqrt(sample.var(axis=0).mean(axis=-1, keepdims=True)))
