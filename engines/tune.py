"""Chooses how a model is run on this machine: measure, gate, pick, write. One line each.

The winner goes into config.pbtxt, which says how Triton runs the model, and into the card, which
says why. The INT8 engine stays where it is; an unquantized winner lies beside it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from core.card import ENGINE_FILE
from engines import tune_gate, tune_unmeasured
from engines.errors import EngineError
from engines.gpu_graph import gpu_graph, spelled_out
from engines.merge import ADAPTERS
from engines.runtimes import GPU_FILE, REFERENCE_FILE, Candidate, gpu_of
from engines.tune_apply import apply, reset
from engines.tune_choice import Choice
from engines.tune_lengths import parse_lengths
from engines.tune_measured import measured
from engines.tune_plans import PlanWork, require_choice
from engines.tune_reference import Origin, judge_of, made_anew
from engines.tune_report import Tuned
from engines.tune_subject import Subject, subjects

WITHOUT_GRAPH = "FP32 and BF16 are left out, which take the unquantized graph"
WITHOUT_GPU_GRAPH = "FP16 on the GPU is left out"


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
    parse_lengths(choice.lengths)  # before anything slow
    if choice.source is not None and len(names or ()) != 1:
        raise EngineError("--source is of one model; name that one")
    chosen = subjects(names, repository, choice.data)
    ways = _ways(chosen, choice)
    origin = Origin(choice.base_folder, choice.source, adapters)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    results = []
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for subject in chosen:
            step = progress.add_task(subject.name, total=1)

            def told(text: str, subject: Subject = subject, step: TaskID = step) -> None:
                progress.update(step, description=f"{subject.name}: {text}")

            with tempfile.TemporaryDirectory(prefix="sub50-tune-") as work:
                if subject.card.plan is None:
                    tuned = Work(subject, Path(work), told).tune(ways, choice, origin)
                else:
                    tuned = PlanWork(subject, Path(work), told).tune(choice, origin)
                if not choice.dry_run:
                    apply(tuned, subject, Path(work) / tuned.winner.engine_file)
            progress.update(step, completed=1, description=f"{subject.name}: {tuned.winner.label}")
            results.append(tuned)
    return results


def _ways(chosen: Sequence[Subject], choice: Choice) -> list[Candidate]:
    """The candidates of engines that are ONNX. Raises EngineError where a choice leaves none."""
    plans = [subject for subject in chosen if subject.card.plan is not None]
    for subject in plans:
        require_choice(subject, choice)
    return choice.ways() if len(plans) < len(chosen) else []


class Work:
    """One model being tuned, its engine files side by side in a folder."""

    def __init__(self, subject: Subject, folder: Path, told: Callable[[str], None]) -> None:
        self.subject, self.folder, self.told = subject, folder, told
        self.notes: list[str] = []

    def tune(
        self,
        ways: Sequence[Candidate],
        choice: Choice,
        origin: Origin,
    ) -> Tuned:
        """Ask the gate, measure, and choose."""
        missing = self._lay_out(origin, for_gpu=any(way.on_gpu for way in ways))
        possible = self._possible(ways, missing)
        self.told("gate: the answers to compare with")
        judge = judge_of(self.subject, self.folder)
        if choice.unmeasured:
            return tune_unmeasured.judged_alone(
                self.subject, self.folder, judge, self.told, self.notes
            )
        asked = tune_gate.judged(possible, self.folder, judge, self.told)
        gpu = next(filter(None, map(gpu_of, possible)), None)
        left_out = [*([missing] if missing else []), *self.notes]
        return measured(self.subject, self.folder, asked, choice, self.told, left_out, gpu)

    def _lay_out(self, origin: Origin, for_gpu: bool) -> str | None:
        """Put the INT8 engine as it was made, and the unquantized graph, made anew, side by side.

        That of a GPU, where asked for, is made of the unquantized one. Returns a line on what is
        left out without such a graph; None where there is one.
        """
        engine = self.subject.folder / ENGINE_FILE
        (self.folder / ENGINE_FILE).symlink_to(engine.absolute())
        reference = made_anew(self.subject, origin, self.told)
        if isinstance(reference, EngineError):
            return f"{WITHOUT_GRAPH}: {reference}"
        onnx.save(reference, self.folder / REFERENCE_FILE)
        return self._lay_out_for_gpu(reference) if for_gpu else None

    def _lay_out_for_gpu(self, reference: onnx.ModelProto) -> str | None:
        self.told("making the graph for the GPU")
        try:
            model = gpu_graph(reference, self.subject.card.max_tokens)
        except EngineError as error:
            return f"{WITHOUT_GPU_GRAPH}: {error}"
        self.notes += spelled_out(model)
        onnx.save(model, self.folder / GPU_FILE)
        return None

    def _possible(self, ways: Sequence[Candidate], missing: str | None) -> list[Candidate]:
        """The candidates whose engine file is there."""
        there = [each for each in ways if (self.folder / each.engine_file).is_file()]
        if not there:
            raise EngineError(f"{self.subject.name}: {missing}")
        return there


def reset_engines(names: Sequence[str] | None, repository: Path) -> list[str]:
    """Go back to what was built or imported; returns the names of the models.

    Raises:
        EngineError: there is no such engine.
    """
    chosen = subjects(names, repository)
    for subject in chosen:
        reset(subject)
    return [subject.name for subject in chosen]
