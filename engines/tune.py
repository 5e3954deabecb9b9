"""Chooses how a model is run on this machine: measure, gate, pick, write. One line each.

The winner goes into config.pbtxt, which says how Triton runs the model, and into the card, which
says why. The INT8 engine stays where it is; an unquantized winner lies beside it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from core.buckets import bucket_length
from core.card import ENGINE_FILE
from engines import tune_gate, tune_measure, tune_unmeasured
from engines.errors import EngineError
from engines.gpu_graph import gpu_graph
from engines.merge import ADAPTERS
from engines.runtimes import (
    CUDA,
    GPU_FILE,
    REFERENCE_FILE,
    Candidate,
    candidates,
    gpu_name,
    gpu_of,
)
from engines.tune_apply import apply, reset
from engines.tune_choose import fitted_line, winner
from engines.tune_reference import Origin, judge_of, unquantized
from engines.tune_report import Tuned
from engines.tune_subject import Subject, subjects
from engines.tune_unmeasured import FOR_GPU

DEFAULT_LENGTHS = "25:0.7,128:0.3"
DEFAULT_SECONDS = 1.2
WITHOUT_GRAPH = "FP32 and BF16 are left out, which take the unquantized graph"
WITHOUT_GPU_GRAPH = "FP16 on the GPU is left out"


@dataclass(frozen=True)
class Choice:
    """What is measured, and how.

    Attributes:
        lengths: the mix of texts to measure with, as in `25:0.7,128:0.3` (tokens:weight).
        runtime: measure only this one, `onnxruntime`, `openvino` or, on a GPU, `cuda`.
        precision: measure only this one, `int8`, `fp32`, `bf16` or `fp16`.
        seconds: time of each candidate at each batch size.
        base_folder: folder of the base encoder; None fetches it into a cache.
        data: folder or file of labelled data, to hold accuracy to the gate too.
        dry_run: measure, and write nothing.
        source: folder of the checkpoint or adapter, where it is not found by itself.
        unmeasured: write the engine for a GPU that this machine has not; the gate alone is asked.
    """

    lengths: str = DEFAULT_LENGTHS
    runtime: str | None = None
    precision: str | None = None
    seconds: float = DEFAULT_SECONDS
    base_folder: Path | None = None
    data: Path | None = None
    dry_run: bool = False
    source: Path | None = None
    unmeasured: bool = False

    def ways(self) -> list[Candidate]:
        """The candidates. Raises EngineError where none is left, or one cannot be run here."""
        if not self.unmeasured:
            return candidates(self.runtime, self.precision)
        if self.runtime != CUDA or (self.precision or "fp16").lower() != "fp16":
            raise EngineError(
                "--unmeasured is for a GPU that is elsewhere: say --runtime cuda with it. What "
                "runs on this machine is measured"
            )
        return [FOR_GPU]


def tune_engines(
    names: Sequence[str] | None, repository: Path, choice: Choice, adapters: Path = ADAPTERS
) -> list[Tuned]:
    """Measure the candidates of the named models, or of all, and write the winners.

    What is tuned is the version that is served, whether it was built, imported or promoted.

    Args:
        names: models of the repository; None means all.
        repository: the model repository, with the engines.
        choice: what is measured, and how.
        adapters: folder with one folder for each adapter.

    Raises:
        EngineError: there is no such engine, a candidate cannot be run, or the gate refuses all.
    """
    mix = parse_lengths(choice.lengths)
    if choice.source is not None and len(names or ()) != 1:
        raise EngineError("--source is of one model; name that one")
    ways = choice.ways()
    chosen = subjects(names, repository, choice.data)
    origin = Origin(choice.base_folder, choice.source, adapters)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    results = []
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for subject in chosen:
            step = progress.add_task(subject.name, total=1)

            def told(text: str, subject: Subject = subject, step: TaskID = step) -> None:
                progress.update(step, description=f"{subject.name}: {text}")

            with tempfile.TemporaryDirectory(prefix="sub50-tune-") as work:
                tuned = Work(subject, Path(work), told).tune(ways, choice, mix, origin)
                if not choice.dry_run:
                    apply(tuned, subject, Path(work) / tuned.winner.engine_file)
            progress.update(step, completed=1, description=f"{subject.name}: {tuned.winner.label}")
            results.append(tuned)
    return results


class Work:
    """One model being tuned, its engine files side by side in a folder."""

    def __init__(self, subject: Subject, folder: Path, told: Callable[[str], None]) -> None:
        self.subject, self.folder, self.told = subject, folder, told

    def tune(
        self,
        ways: Sequence[Candidate],
        choice: Choice,
        mix: Sequence[tuple[int, float]],
        origin: Origin,
    ) -> Tuned:
        """Ask the gate, measure, and choose."""
        missing = self._lay_out(origin, for_gpu=any(way.on_gpu for way in ways))
        possible = self._possible(ways, missing)
        self.told("gate: the answers to compare with")
        judge = judge_of(self.subject, self.folder)
        if choice.unmeasured:
            return tune_unmeasured.judged_alone(self.subject, self.folder, judge, self.told)
        asked = tune_gate.judged(possible, self.folder, judge, self.told)
        lengths = cut_lengths(mix, self.subject.card.max_tokens)
        found = tune_measure.measure(
            list(asked.verdicts),
            self.folder,
            lengths,
            choice.seconds,
            self.told,
            self.subject.token_ids,
        )
        best = winner(found, asked.verdicts)
        overhead_ms, ms_per_token = fitted_line(best.runs)
        return Tuned(
            name=self.subject.name,
            version=self.subject.card.version,
            lengths=choice.lengths if lengths == mix else lengths_text(lengths),
            measurements=found,
            verdicts=asked.verdicts,
            winner=best.candidate,
            line_overhead_ms=overhead_ms,
            line_ms_per_token=ms_per_token,
            left_out=(*([missing] if missing else []), *asked.left_out),
            gpu=next((gpu_name(gpu) for gpu in map(gpu_of, possible) if gpu), None),
        )

    def _lay_out(self, origin: Origin, for_gpu: bool) -> str | None:
        """Put the INT8 engine as it was made, and the unquantized graph, made anew, side by side.

        That of a GPU, where asked for, is made of the unquantized one. Returns a line on what is
        left out without such a graph; None where there is one.
        """
        card = self.subject.card
        engine = self.subject.folder / ENGINE_FILE
        (self.folder / ENGINE_FILE).symlink_to(engine.absolute())
        self.told("making the unquantized graph")
        named = origin.source or (origin.base_folder if card.imported is None else None)
        try:
            reference = unquantized(self.subject, origin)
        except EngineError as error:
            if named is not None:
                raise
            return f"{WITHOUT_GRAPH}: {error}"
        onnx.save(reference, self.folder / REFERENCE_FILE)
        return self._lay_out_for_gpu(reference) if for_gpu else None

    def _lay_out_for_gpu(self, reference: onnx.ModelProto) -> str | None:
        self.told("making the graph for the GPU")
        try:
            model = gpu_graph(reference, self.subject.card.max_tokens)
        except EngineError as error:
            return f"{WITHOUT_GPU_GRAPH}: {error}"
        onnx.save(model, self.folder / GPU_FILE)
        return None

    def _possible(self, ways: Sequence[Candidate], missing: str | None) -> list[Candidate]:
        """The candidates whose engine file is there."""
        there = [each for each in ways if (self.folder / each.engine_file).is_file()]
        if not there:
            raise EngineError(f"{self.subject.name}: {missing}")
        return there


def parse_lengths(text: str) -> list[tuple[int, float]]:
    """`25:0.7,128:0.3` as pairs of tokens and weight; a weight left out is 1.

    Raises:
        EngineError: it is not of that form, or a length is not between 1 and 512.
    """
    mix = []
    for part in text.split(","):
        tokens, _, weight = part.partition(":")
        try:
            pair = int(tokens), float(weight or 1)
            bucket_length(pair[0])
        except ValueError as error:
            raise EngineError(
                f"--lengths {text!r}: {part!r}: {error}; say 25:0.7,128:0.3"
            ) from None
        if pair[0] < 1 or not 0 < pair[1] < float("inf"):
            raise EngineError(f"--lengths {part!r}: tokens and weight must be positive")
        mix.append(pair)
    return mix


def cut_lengths(mix: Sequence[tuple[int, float]], max_tokens: int) -> list[tuple[int, float]]:
    """The mix as a model sees it that cuts texts at `max_tokens`."""
    return [(min(tokens, max_tokens), weight) for tokens, weight in mix]


def lengths_text(mix: Sequence[tuple[int, float]]) -> str:
    """A mix as `--lengths` gives it."""
    return ",".join(f"{tokens}:{weight:g}" for tokens, weight in mix)


def reset_engines(names: Sequence[str] | None, repository: Path) -> list[str]:
    """Go back to ONNX Runtime and INT8, as built or imported; returns the names of the models.

    Raises:
        EngineError: there is no such engine.
    """
    chosen = subjects(names, repository)
    for subject in chosen:
        reset(subject)
    return [subject.name for subject in chosen]
