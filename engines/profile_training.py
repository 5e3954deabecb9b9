"""Profiles the training of an adapter: its steps by phase, by operator, and on a GPU by kernel.

Needs the `train` extra.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch import profiler

from core.buckets import bucket_length
from engines.batches import MOST_ROWS
from engines.hardware import machine
from engines.operator_groups import COPIES
from engines.phases import DATA, PHASES, Mark, unmarked
from engines.profile_record import Part, Profile, Profiling, Total
from engines.profile_totals import (
    BETWEEN,
    between_ms,
    by_operator,
    gpu_times,
    mean_ms,
    parts_of,
    phase_parts,
    undisturbed,
)
from engines.recipe import Recipe
from engines.spans import Round, Span
from engines.torch_trace import steps_between, steps_of
from engines.trainer import Trainer

BETWEEN_PHASES = "between phases"
COPYING, COMPUTING = "copies and casts", "compute"
# One that makes the kernels of each shape, then by turns without the profiler and with it.
PASSES = 4


@dataclass(frozen=True)
class Training:
    """What is trained, for the while: an adapter of a model, as its recipe says."""

    model: str
    version: str
    labels: tuple[str, ...]
    recipe: Recipe
    base: Path


class _Rehearsal(Trainer):
    """A trainer whose loop over batches runs without judging and without checkpoints."""

    def prepare(self, texts: Sequence[str]) -> None:
        """Tokenize, and give labels by turns: the time of a step does not depend on them."""
        self.rows = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        self.given = [index % len(self.labels) for index in range(len(texts))]
        self._prepare(self.given, {})

    def pass_over(self, mark: Mark) -> None:
        """Every batch once, in the same order each time; one mark more ends the last step."""
        self.mark, self.step = mark, 0
        with Progress(disable=True) as hidden:
            self._train_epoch(self.rows, self.given, hidden)
        with mark(DATA):
            pass

    @property
    def padding_share(self) -> float:
        """Of the tokens that are run."""
        lengths = [len(row) for row in self.rows]
        return 1 - sum(lengths) / sum(map(bucket_length, lengths))


@dataclass(frozen=True)
class _Watched:
    """Steps without the profiler and with it, cores that were busy, and time of a text before."""

    plain: list[Round]
    rounds: list[Round]
    busy_threads: float
    tokenizing_ms: float


def profile_training(
    training: Training,
    texts: Sequence[str],
    source: str,
    steps: int,
    told: Callable[[int], None] = lambda passes: None,
) -> Profiling:
    """Train for a while, by turns with and without PyTorch's profiler; nothing is kept.

    Args:
        training: what is trained.
        texts: what it is trained with, over again where they are too few.
        source: where they come from.
        steps: about so many with the profiler, as whole batches come out.
        told: hears of each of the `PASSES` that is through.

    Raises:
        EngineError: the labels cannot be trained on.
    """
    with tempfile.TemporaryDirectory(prefix="sub50-profile-") as work:
        folder = Path(work)
        trainer = _Rehearsal(training.base, training.labels, training.recipe, folder)
        taken = list(islice(cycle(texts), steps * _rows_of_a_step(trainer, texts)))
        begun = time.perf_counter()
        trainer.prepare(taken)
        tokenizing_ms = (time.perf_counter() - begun) * 1e3 / len(taken)
        trainer.pass_over(unmarked)
        told(1)
        plain, busy_before = _timed(trainer)
        told(1)
        rounds = _traced(trainer, folder / "trace.json")
        told(1)
        more, busy_after = _timed(trainer)
        told(1)
    watched = _Watched([*plain, *more], rounds, (busy_before + busy_after) / 2, tokenizing_ms)
    return Profiling(_profile(training, trainer, source, watched), undisturbed(rounds))


def _rows_of_a_step(trainer: Trainer, texts: Sequence[str]) -> int:
    """Texts of a batch, where all have the mean length of the first hundred."""
    encodings = trainer.tokenizer.encode_batch(list(texts[:100]))
    length = bucket_length(round(float(np.mean([len(each.ids) for each in encodings]))))
    return min(MOST_ROWS, max(1, trainer.recipe.tokens_per_batch // length))


def _timed(trainer: _Rehearsal) -> tuple[list[Round], float]:
    """The steps of a pass by our own clock, and how many cores were busy."""
    phases: list[Span] = []

    @contextmanager
    def mark(phase: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        phases.append(Span(phase, phase, begun * 1e6, (time.perf_counter() - begun) * 1e6))

    begun, processor = time.perf_counter(), time.process_time()
    trainer.pass_over(mark)
    busy = (time.process_time() - processor) / (time.perf_counter() - begun)
    return steps_between(phases), busy


def _traced(trainer: _Rehearsal, path: Path) -> list[Round]:
    """The steps of a pass as PyTorch's profiler saw them."""
    activities = [profiler.ProfilerActivity.CPU]
    if trainer.device.type == "cuda":
        activities.append(profiler.ProfilerActivity.CUDA)
    with profiler.profile(activities=activities) as looking:
        trainer.pass_over(profiler.record_function)
    looking.export_chrome_trace(str(path))
    return steps_of(json.loads(path.read_bytes())["traceEvents"])


def _profile(training: Training, trainer: _Rehearsal, source: str, watched: _Watched) -> Profile:
    plain, rounds, texts = watched.plain, watched.rounds, len(trainer.rows)
    profiled_ms = mean_ms(rounds)
    operators = by_operator(rounds, profiled_ms)
    return Profile(
        what="step",
        model=training.model,
        version=training.version,
        runs_on=f"PyTorch {torch.__version__}, {_device_name(trainer.device)}",
        threads=torch.get_num_threads(),
        machine=machine(),
        texts=round(texts / trainer.step),
        tokens=sum(map(len, trainer.rows)) / texts,
        padding_share=trainer.padding_share,
        source=source,
        rounds=len(rounds),
        parts=phase_parts(plain, PHASES, BETWEEN_PHASES),
        inside=_inside(rounds, operators),
        plain_ms=mean_ms(plain),
        profiled_ms=profiled_ms,
        busy_threads=watched.busy_threads,
        operators=operators,
        gpu=gpu_times(rounds, profiled_ms),
        notes=[
            f"Texts are tokenized before the first step, {watched.tokenizing_ms:.2f} ms each.",
            "Labels are given by turns; what was learned is thrown away.",
        ],
    )


def _inside(rounds: Sequence[Round], operators: Sequence[Total]) -> list[Part]:
    """What a step is made of on the processor."""
    between = between_ms(rounds)
    copies = sum(total.ms for total in operators if total.name in COPIES)
    computing = mean_ms(rounds) - between - copies
    return parts_of([(COPYING, copies), (COMPUTING, computing), (BETWEEN, between)])


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "the processor"
