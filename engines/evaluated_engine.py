"""A classifier on disk, opened in this process and run as the server would run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.card import TOKENIZER_FILE, EngineCard
from core.plan import TENSORRT
from core.scores import scores_of
from core.tokenizer import TextTokenizer, pad
from engines.engine_folder import engine_card
from engines.errors import EngineError
from engines.measure import Engine, Floats, Labels, feed
from engines.plan_here import require_plan_runs, served_plan
from engines.runtimes import Candidate, Precision, open_engine, require_runs, usable_cores
from engines.scores import Scores

# Rows of a call; fewer where they are long, so that a call stays small.
MOST_ROWS = 32
MOST_TOKENS = 4096


@dataclass(frozen=True)
class EvaluatedEngine:
    """An engine with its card, its tokenizer, and the way it is served on this machine.

    `names` are its labels in the order that scores have here, which need not be the card's.
    """

    folder: Path
    card: EngineCard
    names: tuple[str, ...]
    candidate: Candidate
    engine: Engine
    tokenizer: TextTokenizer

    @cached_property
    def label(self) -> str:
        """Its name for people."""
        return f"{self.card.name} {self.card.version}"

    @property
    def engine_file(self) -> Path:
        """The file that is served."""
        return self.folder / self.candidate.engine_file

    def scores(
        self, texts: Sequence[str], told: Callable[[int], None] = lambda texts: None
    ) -> Floats:
        """Scores of each text as the service gives them, float32 (texts, labels).

        Probabilities of labels; of a regression, the value. `told` hears of texts as they are done.
        """
        rows = [tokens.ids for tokens in self.tokenizer.encode(texts)]
        result = np.zeros((len(rows), len(self.card.labels)), dtype=np.float32)
        # By length: a batch then has hardly any padding.
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        start = 0
        while start < len(order):
            longest = len(rows[order[min(start + MOST_ROWS, len(order)) - 1]])
            batch = order[start : start + min(MOST_ROWS, max(1, MOST_TOKENS // longest))]
            inputs = feed(*pad([rows[index] for index in batch]))
            logits = self.engine.run(None, inputs)[0]
            result[batch] = scores_of(logits[:, self._order], self.card.problem_type)
            start += len(batch)
            told(len(batch))
        return result

    def labels(self, scores: Floats) -> Labels:
        """The labels that the service gives, bool (texts, labels); a regression gives none."""
        if self.card.problem_type == "multi_label" and self.card.thresholds:
            over: Labels = scores > np.array(self.card.thresholds, dtype=np.float32)[self._order]
            return over
        return Scores(self.card.problem_type).labels(scores)

    def lengths(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens of each text, as many as the engine sees, int64 (texts,)."""
        return np.array([len(tokens.ids) for tokens in self.tokenizer.encode(texts)], np.int64)

    @cached_property
    def _order(self) -> list[int]:
        return [self.card.labels.index(name) for name in self.names]


def open_for_evaluation(folder: Path, names: Sequence[str] = ()) -> EvaluatedEngine:
    """Open a classifier.

    Args:
        folder: its version folder.
        names: its labels in the order that scores are to have; by default the card's.

    Raises:
        EngineError: the folder is not whole, no classifier's, or its runtime is not installed.
    """
    card = engine_card(folder)
    if card.task != "classify":
        raise EngineError(f"{folder} is an engine to {card.task}, not a classifier")
    candidate = require_runtime(folder, card)
    with loading(folder):
        engine = open_engine(folder / candidate.engine_file, candidate.backend, candidate.precision)
        tokenizer = TextTokenizer(folder / TOKENIZER_FILE, card.max_tokens)
    return EvaluatedEngine(folder, card, tuple(names or card.labels), candidate, engine, tokenizer)


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """What goes wrong while an engine is opened becomes an EngineError that names its folder."""
    try:
        yield
    except EngineError:
        raise
    except Exception as error:  # each library has errors of its own, down to bare Exception
        raise EngineError(f"{folder} cannot be loaded: {error}") from error


def require_runtime(folder: Path, card: EngineCard) -> Candidate:
    """How `sub50 serve` runs the engine of a version folder.

    Raises:
        EngineError: what it was tuned for is not here, or it is a plan that cannot be run here.
    """
    candidate = as_served(card)
    if card.plan is not None:
        require_plan_runs(card)
    else:
        try:
            require_runs(candidate)
        except EngineError as error:
            raise EngineError(
                f"{folder} was tuned for {candidate.runtime} {candidate.precision}, and cannot be "
                f"run so here: {error}"
            ) from error
    return candidate


def as_served(card: EngineCard) -> Candidate:
    """How an engine is served: as tuned, or by `sub50 serve` here as two instances with half of the
    cores; a plan by NVIDIA's Triton as one instance."""
    if card.plan is not None:
        return _plan_as_served(card)
    if card.tuning is not None:
        tuning = card.tuning.model_dump(include={"backend", "precision", "threads", "instances"})
        return Candidate(**tuning)
    cores = usable_cores()
    instances = min(2, cores)
    return Candidate("onnxruntime", "INT8", threads=cores // instances, instances=instances)


def _plan_as_served(card: EngineCard) -> Candidate:
    precision: Precision = "INT8" if card.precision == "INT8" else "FP16"
    instances = card.tuning.instances if card.tuning else 1
    return Candidate(TENSORRT, precision, 1, instances, served_plan(card))
