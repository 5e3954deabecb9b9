"""Chooses how a model is run on this machine: measure, gate, pick, write. One line each.

The winner goes into config.pbtxt, which says how Triton runs the model, and into the card, which
says why. The INT8 engine stays where it is; an unquantized winner lies beside it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import onnx
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from core.buckets import MAX_TOKENS, bucket_length
from core.card import ENGINE_FILE, TOKENIZER_FILE, EngineCard, Tuning, read_card, write_card
from core.tokenizer import TextTokenizer
from core.versions import VersionError, served_folder
from engines import base, tune_gate, tune_measure
from engines.build import VERSION
from engines.catalog import ModelSpec, specs
from engines.errors import EngineError
from engines.examiner import Examiner
from engines.making import ingredients_of, reference_graph
from engines.material import default_material
from engines.merge import ADAPTERS
from engines.model_config import CONFIG_FILE, config_text, model_config, tuned_config
from engines.record import Ingredients, machine
from engines.runtimes import DEFAULT, REFERENCE_FILE, Candidate, candidates, open_engine
from engines.tune_choose import fitted_line, winner
from engines.tune_report import Tuned
from engines.whole_file import whole_file

DEFAULT_LENGTHS = "25:0.7,128:0.3"
DEFAULT_SECONDS = 1.2


@dataclass(frozen=True)
class Choice:
    """What is measured, and how.

    Attributes:
        lengths: the mix of texts to measure with, as in `25:0.7,128:0.3` (tokens:weight).
        runtime: measure only this one, `onnxruntime` or `openvino`.
        precision: measure only this one, `int8`, `fp32` or `bf16`.
        seconds: time of each candidate at each batch size.
        base_folder: folder of the base encoder; None fetches it into a cache.
        data: folder of labelled data, to hold accuracy to the gate too.
        dry_run: measure, and write nothing.
    """

    lengths: str = DEFAULT_LENGTHS
    runtime: str | None = None
    precision: str | None = None
    seconds: float = DEFAULT_SECONDS
    base_folder: Path | None = None
    data: Path | None = None
    dry_run: bool = False


def tune_engines(
    names: Sequence[str] | None, repository: Path, choice: Choice, adapters: Path = ADAPTERS
) -> list[Tuned]:
    """Measure the candidates of the named models, or of all, and write the winners.

    Args:
        names: models of engines/catalog.py; None means all.
        repository: the model repository, with the engines built.
        choice: what is measured, and how.
        adapters: folder with one folder for each adapter.

    Raises:
        EngineError: an engine is not built, a candidate cannot be run, or the gate refuses all.
    """
    chosen, mix = specs(names), parse_lengths(choice.lengths)
    for spec in chosen:
        card_of(spec, repository)
    ways = candidates(choice.runtime, choice.precision)
    folder = base.ensure_base(choice.base_folder)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    results = []
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for spec in chosen:
            step = progress.add_task(spec.name, total=1)
            with tempfile.TemporaryDirectory(prefix="sub50-tune-") as work:
                found = Work(spec, repository, Path(work), progress, step)
                found.lay_out(ingredients_of(spec, folder, adapters))
                tuned = found.tune(ways, choice, mix)
                if not choice.dry_run:
                    apply(tuned, spec, repository, Path(work) / REFERENCE_FILE)
            said = f"{spec.name}: {tuned.winner.label}"
            progress.update(step, completed=1, description=said)
            results.append(tuned)
    return results


class Work:
    """One model being tuned, its engine files side by side in a folder."""

    def __init__(
        self,
        spec: ModelSpec,
        repository: Path,
        folder: Path,
        progress: Progress,
        step: TaskID,
    ) -> None:
        self.spec, self.folder = spec, folder
        self.version = repository / spec.name / VERSION
        self._progress, self._step = progress, step

    def told(self, text: str) -> None:
        """Show what is being done."""
        self._progress.update(self._step, description=f"{self.spec.name}: {text}")

    def lay_out(self, ingredients: Ingredients) -> None:
        """The INT8 engine as it was built, and the unquantized graph, made anew."""
        self.told("merging the unquantized graph")
        (self.folder / ENGINE_FILE).symlink_to((self.version / ENGINE_FILE).absolute())
        onnx.save(reference_graph(ingredients), self.folder / REFERENCE_FILE)

    def tune(
        self,
        ways: Sequence[Candidate],
        choice: Choice,
        mix: Sequence[tuple[int, float]],
    ) -> Tuned:
        """Ask the gate, measure, and choose."""
        self.told("gate: the unquantized graph's answers")
        tokenizer = TextTokenizer(self.version / TOKENIZER_FILE, MAX_TOKENS)
        reference = open_engine(self.folder / REFERENCE_FILE, "onnxruntime", "FP32")
        material = default_material(self.spec, choice.data)
        examiner = Examiner(self.spec.output, tokenizer, reference, material)
        verdicts = tune_gate.verdicts(ways, self.folder, examiner, self.told)
        found = tune_measure.measure(ways, self.folder, mix, choice.seconds, self.told)
        best = winner(found, verdicts)
        overhead_ms, ms_per_token = fitted_line(best.runs)
        return Tuned(
            self.spec.name,
            choice.lengths,
            found,
            verdicts,
            best.candidate,
            overhead_ms,
            ms_per_token,
        )


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


def apply(tuned: Tuned, spec: ModelSpec, repository: Path, reference: Path) -> None:
    """Write the winner into the version folder, the card and config.pbtxt.

    In that order: whatever config.pbtxt names is in place when it is read.
    """
    candidate = tuned.winner
    version = repository / spec.name / VERSION
    card = card_of(spec, repository)
    if candidate.engine_file == REFERENCE_FILE:
        with whole_file(version / REFERENCE_FILE) as partial:
            shutil.copyfile(reference, partial)
    tuning = Tuning(
        backend=candidate.backend,
        precision=candidate.precision,
        threads=candidate.threads,
        instances=candidate.instances,
        engine_file=candidate.engine_file,
        lengths=tuned.lengths,
        line_overhead_ms=tuned.line_overhead_ms,
        line_ms_per_token=tuned.line_ms_per_token,
        machine=machine(),
        tuned_at=datetime.now(UTC).isoformat(timespec="seconds"),
        candidates=tuned.candidates(),
    )
    served = {"backend": candidate.backend, "precision": candidate.precision, "tuning": tuning}
    write_card(card.model_copy(update=served), version)
    overhead_tokens = round(tuned.line_overhead_ms / tuned.line_ms_per_token)
    config = tuned_config(spec, candidate, overhead_tokens)
    write_config(repository / spec.name / CONFIG_FILE, config_text(config, tuned_model=spec.name))
    if candidate.engine_file != REFERENCE_FILE:
        (version / REFERENCE_FILE).unlink(missing_ok=True)


def reset_engines(names: Sequence[str] | None, repository: Path) -> list[str]:
    """Go back to ONNX Runtime and INT8, as built; returns the names of the models.

    Raises:
        EngineError: a name is unknown or an engine is not built.
    """
    chosen = specs(names)
    for spec in chosen:
        card = card_of(spec, repository)
        version = repository / spec.name / VERSION
        write_config(repository / spec.name / CONFIG_FILE, config_text(model_config(spec)))
        default = {"backend": DEFAULT.backend, "precision": DEFAULT.precision, "tuning": None}
        write_card(card.model_copy(update=default), version)
        (version / REFERENCE_FILE).unlink(missing_ok=True)
    return [spec.name for spec in chosen]


def card_of(spec: ModelSpec, repository: Path) -> EngineCard:
    """The card of a built engine. Raises EngineError, with what to do, if there is none."""
    version = repository / spec.name / VERSION
    try:
        served = served_folder(repository / spec.name)
        if served is not None and served.name != VERSION:
            raise EngineError(
                f"version {served.name} of {spec.name} is served, and tuning knows how to make "
                f"version {VERSION} only; go back to it with `sub50 engines promote {spec.name} "
                f"{VERSION}`"
            )
        card = read_card(version)
    except VersionError as error:
        raise EngineError(str(error)) from error
    except (FileNotFoundError, ValidationError) as error:
        raise EngineError(
            f"no engine of {spec.name} in {version}; `sub50 engines build {spec.name}` first"
        ) from error
    if not (version / ENGINE_FILE).is_file():
        raise EngineError(f"no {version / ENGINE_FILE}; `sub50 engines build {spec.name}` first")
    return card


def write_config(path: Path, text: str) -> None:
    """Replace a config.pbtxt, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
