"""Searches for a better recipe: rank, alpha, learning rate and epochs of an adapter. Needs `train`.

Trials train on a seeded sample, because they are for the ranking alone, and are judged on texts
held back from the training data. A trial that does worse after an epoch than half of the trials
did at that point is given up (pruned).
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from engines.checksums import value_sha256
from engines.data import LabelledText
from engines.errors import DataError
from engines.recipe import Recipe
from engines.study import RETRY_OF, default_trial, finished, opened_study
from engines.trainer import Trainer

RANKS = (4, 8, 16, 32)
ALPHAS = (8, 16, 32, 64)
LEARNING_RATES = (1e-4, 4e-3)
EPOCHS = (2, 6)
SECONDS = "seconds"
FEWEST_TEXTS = 100
AfterTrial = Callable[[optuna.Study, FrozenTrial], None]


@dataclass(frozen=True)
class SearchData:
    """What a search trains on and is judged by; `checksums` are those of the data's files."""

    name: str
    labels: tuple[str, ...]
    train: list[LabelledText]
    validation: dict[str, list[LabelledText]]
    checksums: dict[str, Any]


@dataclass(frozen=True)
class Search:
    """How long and how wide to search. `trials` counts those of earlier runs."""

    trials: int
    texts: int
    timeout_minutes: float | None = None


def search(
    data: SearchData,
    default: Recipe,
    base: Path,
    work: Path,
    wanted: Search,
    after_trial: AfterTrial | None = None,
) -> dict[str, Any]:
    """Run trials until there are as many as wanted; returns the record of the study.

    Args:
        data: what it trains on and is judged by.
        default: the recipe to beat, tried first; trials change four of its values.
        base: folder of the base encoder.
        work: where `<name>.db` (the study), `<name>.log` and checkpoints are kept.
        wanted: how many trials, on how many texts, for how long.
        after_trial: called with study and trial after each.

    Raises:
        EngineError: the study is another's, or there are too few texts.
    """
    train = sample(data.train, wanted.texts, default.seed)
    settings = {
        "data": data.checksums,
        "labels": list(data.labels),
        "texts": len(train),
        "seed": default.seed,
        "recipe": asdict(default),
    }
    path = work / f"{data.name}.db"
    with opened_study(path, settings, values_of(default)) as study:
        trials = Trials(replace(data, train=train), default, base, work)
        left = wanted.trials - len(finished(study))
        if left > 0:
            timeout = wanted.timeout_minutes and wanted.timeout_minutes * 60
            callbacks = [after_trial] if after_trial else None
            study.optimize(trials, left, timeout=timeout, callbacks=callbacks)
        return record(study, data.name, settings, default)


def sample(texts: list[LabelledText], count: int, seed: int) -> list[LabelledText]:
    """`count` of the texts, or all where there are fewer, by chance.

    Raises:
        DataError: fewer than a ranking can rest on, or only one label among them.
    """
    if min(count, len(texts)) < FEWEST_TEXTS:
        raise DataError(
            f"{min(count, len(texts))} training texts are too few to tell recipes apart; "
            f"searching needs at least {FEWEST_TEXTS}"
        )
    chosen = random.Random(seed).sample(texts, min(count, len(texts)))
    if len({item.label for item in chosen}) < 2:
        raise DataError("the sample has one label only; take more with --texts")
    return chosen


def suggest(trial: Trial, default: Recipe) -> Recipe:
    """The default recipe with the four values that the trial is to try."""
    low, high = LEARNING_RATES
    return replace(
        default,
        rank=trial.suggest_categorical("rank", RANKS),
        alpha=trial.suggest_categorical("alpha", ALPHAS),
        learning_rate=trial.suggest_float("learning_rate", low, high, log=True),
        epochs=trial.suggest_int("epochs", *EPOCHS),
    )


def values_of(recipe: Recipe) -> dict[str, Any]:
    """The four values of a recipe that a search changes."""
    return {name: getattr(recipe, name) for name in ("rank", "alpha", "learning_rate", "epochs")}


class Trials:
    """Trains what a trial suggests; returns the mean accuracy on the held-back texts."""

    def __init__(self, data: SearchData, default: Recipe, base: Path, work: Path) -> None:
        self.data, self.default, self.base, self.work = data, default, base, work

    def __call__(self, trial: Trial) -> float:
        """Accuracy after the last epoch.

        Raises:
            optuna.TrialPruned: after an earlier epoch it was below the median.
        """
        recipe = suggest(trial, self.default)
        retried = trial.user_attrs.get(RETRY_OF)
        if retried is not None:
            # Its training goes on from a checkpoint and does not report these again.
            for epoch, value in trial.study.trials[retried].intermediate_values.items():
                trial.report(value, epoch)
        folder = self.work / self.data.name / value_sha256(asdict(recipe))[:16]
        start = time.monotonic()

        def after_epoch(figures: dict[str, Any]) -> None:
            trial.report(self.mean_accuracy(figures), figures["epoch"])
            trial.set_user_attr(SECONDS, round(time.monotonic() - start, 1))
            if figures["epoch"] < recipe.epochs and trial.should_prune():
                raise optuna.TrialPruned

        with (self.work / f"{self.data.name}.log").open("a", encoding="utf-8") as log:
            print(f"trial {trial.number}: {trial.params}", file=log, flush=True)
            with redirect_stdout(log), redirect_stderr(log):
                trainer = Trainer(self.base, self.data.labels, recipe, folder)
                try:
                    history = trainer.run(self.data.train, self.data.validation, after_epoch)
                except optuna.TrialPruned:
                    shutil.rmtree(folder, ignore_errors=True)
                    raise
        shutil.rmtree(folder, ignore_errors=True)
        return self.mean_accuracy(history[-1])

    def mean_accuracy(self, figures: dict[str, Any]) -> float:
        """Over the validation sets of an epoch's figures."""
        return float(np.mean([figures[name] for name in self.data.validation]))


def record(
    study: optuna.Study, name: str, settings: dict[str, Any], default: Recipe
) -> dict[str, Any]:
    """What the study found so far, for JSON: settings, default, best, and every trial."""
    trials = [trial_record(trial) for trial in finished(study)]
    whole = [trial for trial in trials if trial["state"] == "complete"]
    best = max(whole, key=lambda trial: float(trial["value"]), default=None)
    reference = default_trial(study)
    return {
        "study": name,
        "settings": settings,
        "finished": len(trials),
        "pruned": len(trials) - len(whole),
        "default": trial_record(reference) if reference else None,
        "best": best,
        "recipe": asdict(replace(default, **best["params"])) if best else None,
        "trials": trials,
    }


def trial_record(trial: FrozenTrial) -> dict[str, Any]:
    """A finished trial, for JSON: its values, and the accuracy after each epoch."""
    return {
        "number": trial.number,
        "state": "complete" if trial.state == TrialState.COMPLETE else "pruned",
        "params": dict(trial.params),
        "value": trial.value,
        "epochs": {str(k): v for k, v in sorted(trial.intermediate_values.items())},
        "seconds": trial.user_attrs.get(SECONDS),
    }
