"""Profiles a served engine: a text's way through the tokenizer and the runtime, by operator."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.card import TOKENIZER_FILE, EngineCard
from core.tokenizer import pad
from engines.engine_folder import engine_card
from engines.evaluated_engine import loading, require_runtime
from engines.hardware import machine
from engines.measure import Engine, feed
from engines.profile_record import Part, Profile, Profiling
from engines.profile_texts import Calls, calls_of_file, calls_of_length
from engines.profile_totals import (
    BETWEEN,
    OPERATORS,
    between_ms,
    by_node,
    by_operator,
    counted,
    counted_mean,
    gpu_times,
    joined,
    mean_ms,
    parts_of,
    undisturbed,
)
from engines.profiled_engine import Profiled, open_profiled
from engines.runtimes import Candidate, max_run_tokens, open_engine, run_length
from engines.spans import Round

TOKENIZING, ARRAYS, CALL = "tokenizing", "arrays for the engine", "call of the engine"
PROFILED = "call with the profiler"
MOST_NODES = 20
# The first ones allocate.
WARM_CALLS = 3

Inputs = dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class EngineAsked:
    """What to profile an engine with: `batch` texts a call of `tokens` each, or a file's texts."""

    batch: int = 1
    tokens: int = 25
    texts: Path | None = None
    calls: int = 50


def profile_engine(
    folder: Path, asked: EngineAsked, told: Callable[[int], None] = lambda calls: None
) -> Profiling:
    """Run an engine as it is served, by turns with and without its runtime's profiler.

    Args:
        folder: its version folder.
        asked: texts and calls.
        told: hears of calls as they are through, of `asked.calls`.

    Raises:
        EngineError: the folder is not whole, its runtime is not installed or not profiled, or
            the texts cannot be used.
    """
    card = engine_card(folder)
    candidate = require_runtime(folder, card)
    path = folder / candidate.engine_file
    with tempfile.TemporaryDirectory(prefix="sub50-profile-") as scratch:
        with loading(folder):
            calls = _calls(folder / TOKENIZER_FILE, card, asked)
            plain = open_engine(path, candidate.backend, candidate.precision, candidate.threads)
            profiled = open_profiled(path, candidate, Path(scratch))
        measured = _Measured(plain, profiled, calls, candidate)
        measured.warm_up()
        for number in range(asked.calls):
            measured.call(calls.batches[number % len(calls.batches)])
            told(1)
        rounds = joined(profiled.rounds(sum(measured.runs)), measured.runs)
    profile = _profile(card, candidate, calls, measured, counted(rounds, measured.alike))
    return Profiling(profile, undisturbed(rounds), profiled.placed)


def _calls(tokenizer_file: Path, card: EngineCard, asked: EngineAsked) -> Calls:
    if asked.texts is None:
        return calls_of_length(tokenizer_file, asked.batch, asked.tokens, card.max_tokens)
    return calls_of_file(tokenizer_file, asked.texts, asked.batch, asked.calls, card.max_tokens)


class _Measured:
    """Seconds of every call by what passed, and how many runs it was cut into."""

    def __init__(
        self, plain: Engine, profiled: Profiled, calls: Calls, candidate: Candidate
    ) -> None:
        self.plain, self.profiled, self.calls, self.candidate = plain, profiled, calls, candidate
        self.seconds: dict[str, list[float]] = {
            each: [] for each in (TOKENIZING, ARRAYS, CALL, PROFILED)
        }
        self.runs: list[int] = []
        self.processor_seconds = 0.0
        self.texts = self.tokens = self.padded_tokens = 0

    def warm_up(self) -> None:
        """Run every shape on both engines."""
        runs = 0
        least = max(WARM_CALLS, len(self.calls.batches))
        for batch in islice(cycle(self.calls.batches), least):
            for inputs in self._inputs(self._rows(batch)):
                self.plain.run(None, inputs)
                self.profiled.engine.run(None, inputs)
                runs += 1
        self.profiled.warmed_up(runs)

    def call(self, texts: Sequence[str]) -> None:
        """One call without the profiler and one with it."""
        at = [time.perf_counter()]
        rows = self._rows(texts)
        at.append(time.perf_counter())
        runs = self._inputs(rows)
        at.append(time.perf_counter())
        processor = time.process_time()
        for inputs in runs:
            self.plain.run(None, inputs)
        self.processor_seconds += time.process_time() - processor
        at.append(time.perf_counter())
        for inputs in runs:
            self.profiled.engine.run(None, inputs)
        at.append(time.perf_counter())
        for taken, (begun, ended) in zip(self.seconds.values(), pairwise(at), strict=True):
            taken.append(ended - begun)
        self.runs.append(len(runs))
        self.texts += len(rows)
        self.tokens += sum(map(len, rows))
        self.padded_tokens += sum(inputs["input_ids"].size for inputs in runs)

    def mean_ms(self, what: str) -> float:
        """Of a call."""
        return counted_mean(self.seconds[what], self.alike) * 1e3

    @property
    def alike(self) -> bool:
        """Whether the slowest calls can be left out: there is nothing else that tells them apart,
        and what the profiler says does not hold them."""
        return self.calls.alike and self.profiled.placed

    def _rows(self, texts: Sequence[str]) -> list[list[int]]:
        return [tokens.ids for tokens in self.calls.tokenizer.encode(texts)]

    def _inputs(self, rows: Sequence[list[int]]) -> list[Inputs]:
        """The runs of a call, the longest texts first, as many at once as the backends run."""
        ordered = sorted(rows, key=len, reverse=True)
        runs, start = [], 0
        while start < len(ordered):
            backend, precision = self.candidate.backend, self.candidate.precision
            length = run_length(backend, precision, len(ordered[start]))
            end = start + max(1, max_run_tokens(backend, precision) // length)
            runs.append(feed(*pad(ordered[start:end], length)))
            start = end
        return runs


def _profile(
    card: EngineCard,
    candidate: Candidate,
    calls: Calls,
    measured: _Measured,
    rounds: Sequence[Round],
) -> Profile:
    plain_ms, profiled_ms = measured.mean_ms(CALL), measured.mean_ms(PROFILED)
    return Profile(
        what="call",
        model=card.name,
        version=card.version,
        runs_on=f"{candidate.runtime} {candidate.precision}",
        threads=candidate.threads,
        machine=machine(),
        texts=measured.texts // len(measured.runs),
        tokens=measured.tokens / measured.texts,
        padding_share=1 - measured.tokens / measured.padded_tokens,
        source=calls.source,
        rounds=len(rounds),
        runs_per_call=sum(measured.runs) / len(measured.runs),
        parts=parts_of((name, measured.mean_ms(name)) for name in (TOKENIZING, ARRAYS, CALL)),
        inside=_inside(rounds, profiled_ms),
        plain_ms=plain_ms,
        profiled_ms=profiled_ms,
        busy_threads=measured.processor_seconds / sum(measured.seconds[CALL]),
        operators=by_operator(rounds, profiled_ms),
        nodes=by_node(rounds, profiled_ms)[:MOST_NODES],
        gpu=gpu_times(rounds, profiled_ms),
        notes=[measured.profiled.note],
    )


def _inside(rounds: Sequence[Round], profiled_ms: float) -> list[Part]:
    """What a call with the profiler is made of. Ours is the longer clock: the way into the runtime
    and back is between operators too."""
    between = between_ms(rounds)
    operators = mean_ms(rounds) - between
    return parts_of([(OPERATORS, operators), (BETWEEN, max(between, profiled_ms - operators))])
