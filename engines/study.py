"""A search's study: Optuna's trials in a SQLite file, resumable, with the default recipe first.

A study belongs to the data and settings that it was begun with: figures of others do not rank its
trials. What a killed run left unfinished is tried again.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from engines.errors import EngineError

SETTINGS = "settings"
DEFAULT = "default"
RETRY_OF = "retry_of"
# Whole trainings before any is judged by them. Halving schemes would judge sooner, but with two to
# six epochs they have two rungs, and the first would throw trials out on the noise of one epoch.
TRIALS_BEFORE_PRUNING = 5
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@contextmanager
def opened_study(
    path: Path, settings: dict[str, Any], default: dict[str, Any]
) -> Iterator[optuna.Study]:
    """The study in the SQLite file `path`, begun or gone on with, for this process alone.

    Args:
        path: the file; its folder is made.
        settings: what figures depend on, as JSON; kept in the study.
        default: parameters of the first trial, which others are compared with.

    Raises:
        EngineError: another process has it, it was begun with other settings, or it is no study.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _held(path):
            study = _study(path, settings)
            _queue(study, default)
            yield study
    except OSError as error:
        raise EngineError(
            f"cannot keep the study {path}: {error.strerror or error}; trials that are through "
            "are kept"
        ) from error
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise EngineError(
            f"{path} cannot be read or written as a study ({error}); look for a full disk, or "
            "choose another name"
        ) from error


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that ran to their end or were pruned, in their order."""
    trials: list[FrozenTrial] = study.get_trials(deepcopy=False, states=FINISHED)
    return trials


def default_trial(study: optuna.Study) -> FrozenTrial | None:
    """The finished trial of the default recipe, if there is one yet."""
    return next((t for t in finished(study) if t.user_attrs.get(DEFAULT)), None)


def _study(path: Path, settings: dict[str, Any]) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{path.absolute()}",
        study_name=path.stem,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=TRIALS_BEFORE_PRUNING),
    )
    there = len(study.trials)
    # A sampler's chance begins anew in every process: with the same seed, a search that goes on
    # would try again what it began with.
    study.sampler = optuna.samplers.TPESampler(seed=settings["seed"] + there, multivariate=True)
    begun_with = study.user_attrs.get(SETTINGS)
    if begun_with is None:
        study.set_user_attr(SETTINGS, settings)
    elif begun_with != settings:
        differs = [
            key
            for key in sorted({*begun_with, *settings})
            if begun_with.get(key) != settings.get(key)
        ]
        raise EngineError(
            f"the study {path} was begun with another {', '.join(differs)}; search under another "
            "name, or delete the file to start afresh"
        )
    return study


def _queue(study: optuna.Study, default: dict[str, Any]) -> None:
    """Have the default tried first, and again what a killed run left unfinished."""
    trials = study.get_trials(deepcopy=False)
    retried = {trial.user_attrs.get(RETRY_OF) for trial in trials}
    for trial in trials:
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
        elif trial.state != TrialState.FAIL:
            continue
        if trial.params and trial.number not in retried:
            marks = {**trial.user_attrs, RETRY_OF: trial.number}
            study.enqueue_trial(trial.params, user_attrs=marks)
    if not any(t.user_attrs.get(DEFAULT) for t in study.get_trials(deepcopy=False)):
        study.enqueue_trial(default, user_attrs={DEFAULT: True})


@contextmanager
def _held(path: Path) -> Iterator[None]:
    lock = path.with_suffix(".lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise EngineError(
            f"another search has the study {path}; wait for it, or choose another name"
        ) from error
    finally:
        os.close(descriptor)
