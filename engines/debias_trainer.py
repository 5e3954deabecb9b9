"""Teaches a trained adapter to answer alike, whoever a sentence is about. Needs the `train` extra.

Counterfactual logit pairing (Garg et al. 2019, arXiv:1809.10610), with probabilities: what the
adapter answered on average to a sentence about several groups becomes its answer to the sentence
about each of them, while on the texts that it was trained on it keeps to what it answered before
(learning without forgetting, Li and Hoiem 2016, arXiv:1606.09282).
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from torch import nn

from core.buckets import bucket_length
from engines.averaged_trainer import Weights
from engines.batches import batches
from engines.debias_texts import drawn
from engines.recipe import Recipe
from engines.trainer import Trainer, pad_rows

# Between two checkpoints, and between two figures of the record.
STEPS_A_RECORD = 100


@dataclass(frozen=True)
class DebiasRecipe:
    """How an adapter is evened out. Everything that decides its bytes, but the adapter and texts.

    Attributes:
        max_tokens: where texts are cut, the adapter's own length.
        sentences: sentences in a step, each about `words` words of different groups.
        even_weight: how much a step counts them, beside keeping to the answers before.
    """

    max_tokens: int
    steps: int = 500
    learning_rate: float = 2e-4
    warmup_share: float = 0.06
    weight_decay: float = 0.01
    averaging_decay: float = 0.99
    tokens_per_batch: int = 2048
    sentences: int = 8
    words: int = 6
    even_weight: float = 5.0
    seed: int = 50


class DebiasTrainer(Trainer):
    """One adapter evened out, resumable from its checkpoint file."""

    def __init__(
        self,
        base: Path,
        labels: tuple[str, ...],
        recipe: Recipe,
        debias: DebiasRecipe,
        trained: Weights,
        work: Path,
    ) -> None:
        """`trained` are the adapter's tensors, as `Classifier.to_save` names them."""
        super().__init__(base, labels, recipe, work, start=trained, schedule=debias)
        self.debias = debias
        self.before = copy.deepcopy(self.model).eval()

    def even_out(self, texts: list[str]) -> list[dict[str, Any]]:
        """Train for the recipe's steps; returns the mean losses of every hundred of them.

        `kept` and `even` are Kullback-Leibler divergences in nats: of the answers to `texts` from
        those before, and of the answers about each group from the mean answer before.

        Raises:
            EngineError: the checkpoint cannot be written, or is another recipe's.
        """
        history = self._resume()
        rows = [each.ids for each in self.tokenizer.encode_batch(texts)]
        lengths = [len(row) for row in rows]
        order = random.Random(self.debias.seed)
        shuffled = list(batches(lengths, self.debias.tokens_per_batch, order, bucket_length))
        with Progress(console=Console(stderr=True)) as progress:
            bar = progress.add_task("even out", total=self.debias.steps, completed=self.step)
            losses: list[tuple[float, float]] = []
            while self.step < self.debias.steps:
                batch = shuffled[self.step % len(shuffled)]
                losses.append(self._even_step([rows[index] for index in batch]))
                progress.advance(bar)
                if self.step % STEPS_A_RECORD == 0 or self.step == self.debias.steps:
                    kept, even = (sum(each) / len(losses) for each in zip(*losses, strict=True))
                    history.append({"step": self.step, "kept": kept, "even": even})
                    self._checkpoint(history)
                    losses.clear()
        return history

    def _even_step(self, rows: list[list[int]]) -> tuple[float, float]:
        self._set_rate(self.step, self.debias.steps)
        kept = self._kept_loss(*pad_rows(rows))
        even = self._even_loss(random.Random(self.debias.seed * 100_000 + self.step))
        self._learn(kept + self.debias.even_weight * even)
        return float(kept.item()), float(even.item())

    def _kept_loss(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(self.debias.seed * 100_000 + self.step)
        self.model.train()
        answers = self._forward(ids, mask).log_softmax(1)
        before = self._before(ids, mask).log_softmax(1)
        return nn.functional.kl_div(answers, before, log_target=True, reduction="batchmean")

    def _even_loss(self, chance: random.Random) -> torch.Tensor:
        texts = drawn(chance, self.debias.sentences, self.debias.words)
        encoded = self.tokenizer.encode_batch([text for each in texts for text in each])
        ids, mask = pad_rows([each.ids for each in encoded])
        self.model.eval()
        by_sentence = (len(texts), self.debias.words, len(self.labels))
        answers = self._forward(ids, mask).log_softmax(1).view(by_sentence)
        mean = self._before(ids, mask).softmax(1).view(by_sentence).mean(1, keepdim=True)
        return nn.functional.kl_div(
            answers.flatten(0, 1), mean.expand(by_sentence).flatten(0, 1), reduction="batchmean"
        )

    def _before(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), torch.autocast(self.device.type, dtype=torch.bfloat16):
            logits: torch.Tensor = self.before(ids.to(self.device), mask.to(self.device))
        return logits
