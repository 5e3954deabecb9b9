"""Quantizes a model by a chosen scheme: calibrate, try, keep what hurts in FP32, gate, write.

The result is a version folder outside the repository, for `sub50 engines promote`; it appears
whole, and only if the gate passes.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from core.card import ENGINE_FILE, EngineCard, write_card
from core.versions import versions_of
from engines import gate
from engines.calibrate import ChannelRange, channel_ranges
from engines.checksums import value_sha256
from engines.errors import EngineError
from engines.import_record import scheme_notes
from engines.linear_layers import Layer, find_layers, with_shared_ranges
from engines.listing import card_of
from engines.measure import open_session
from engines.model_config import CONFIG_FILE
from engines.plain_graph import require_plain
from engines.quantize_subject import Source, Subject, subject_of
from engines.scheme_choices import CHOICES, Choice, choice_of
from engines.sensitivity import Attempt, Quantized, attempt, best_engine
from engines.timing import relative_times

RUNS = Path("runs") / "quantize"
REST_FP32 = "; head FP32; word embeddings INT8, a scale per word"
REFERENCE = "FP32"
# One short text, and a batch of long ones.
TIMED_SHAPES = ((1, 32), (8, 128))
SECONDS_A_SHAPE = 0.5

Told = Callable[[str], None]


@dataclass(frozen=True)
class Quantize:
    """What to quantize, and how.

    Attributes:
        source: where from, see `Source`.
        scheme: one of `CHOICES`.
        compare: try every other scheme too, as it is, for the table.
        out: folder to write; by default runs/quantize/NAME-SCHEME.
        version: the card's; by default the next one of the model in the repository.
    """

    source: Source
    scheme: str
    compare: bool = False
    out: Path | None = None
    version: int | None = None


@dataclass(frozen=True)
class Tried:
    """One engine that was tried. `times` are over FP32's, by batch and tokens, in turns; of each
    scheme's last attempt alone."""

    scheme: str
    attempt: Attempt
    times: dict[str, float] | None

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        findings = self.attempt.findings
        return {
            "scheme": self.scheme,
            "layers_kept_in_fp32": self.attempt.kept,
            "engine_bytes": self.attempt.engine_bytes,
            "drift": findings.drift.model_dump(),
            "invariance": findings.invariance.model_dump(),
            "accuracy": [figures.model_dump() for figures in findings.accuracy],
            "gate": findings.verdict.model_dump(),
            "time_over_fp32": self.times,
        }


@dataclass(frozen=True)
class Outcome:
    """What was tried, and the card and folder of what was written; None where the gate refused."""

    name: str
    scheme: str
    layers: int
    kept: tuple[str, ...]
    reference_bytes: int
    tried: list[Tried]
    reasons: list[str]
    card: EngineCard | None
    folder: Path | None

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "name": self.name,
            "scheme": self.scheme,
            "passed": self.card is not None,
            "reasons": self.reasons,
            "layers": self.layers,
            "layers_kept_in_fp32": list(self.kept),
            "reference_bytes": self.reference_bytes,
            "folder": str(self.folder) if self.folder else None,
            "tried": [each.as_dict() for each in self.tried],
            "card": self.card.model_dump(mode="json") if self.card else None,
        }


@dataclass(frozen=True)
class Ready:
    """A subject with its linear layers and the ranges of their inputs."""

    subject: Subject
    layers: Sequence[Layer]
    ranges: Mapping[str, ChannelRange]


def quantize_engine(asked: Quantize, told: Told = lambda step: None) -> Outcome:
    """Quantize; what the gate refuses is told in the outcome and not written.

    Raises:
        EngineError: the scheme, the source, the data or the folder is not what it should be.
    """
    choice = choice_of(asked.scheme)
    _require_out(asked)
    with tempfile.TemporaryDirectory(prefix="sub50-quantize-") as name:
        work = Path(name)
        told("reading the model")
        subject = subject_of(asked.source, work)
        out = asked.out or RUNS / f"{subject.name}-{choice.name}"
        _require_free(out)
        told("calibrating")
        ready = calibrated(subject)
        found = {choice.name: _best(ready, choice, told)}
        if asked.compare:
            found |= _others(ready, choice, told)
        told("measuring time")
        times = _times(ready, found)
        card = None
        if found[choice.name].findings.verdict.passed:
            told("measuring the engine file")
            card = _made(asked, subject, choice, found[choice.name], work)
            put_whole(work, out)
    chosen = found[choice.name]
    return Outcome(
        name=subject.name,
        scheme=choice.name,
        layers=len(ready.layers),
        kept=tuple(layer.label for layer in chosen.kept),
        reference_bytes=subject.reference.ByteSize(),
        tried=[each for name, one in found.items() for each in _tried(name, one, times)],
        reasons=chosen.findings.verdict.reasons,
        card=card,
        folder=out if card else None,
    )


def _require_out(asked: Quantize) -> None:
    """Raise where a folder is asked for that cannot be written, before anything slow."""
    if asked.out is not None:
        if asked.source.repository.resolve() in asked.out.resolve().parents:
            raise EngineError(
                f"--out {asked.out} lies in the repository, which is served; write elsewhere, and "
                "bring it in with `sub50 engines promote`"
            )
        _require_free(asked.out)


def _require_free(out: Path) -> None:
    if out.exists() and (not out.is_dir() or card_of(out) is None):
        raise EngineError(f"{out} exists and is no engine; name another folder with --out")


def calibrated(subject: Subject) -> Ready:
    """Find the linear layers of a subject's graph, and the ranges that its texts give them.

    Raises:
        EngineError: there is no linear layer.
    """
    layers = find_layers(subject.reference, max(subject.rows, key=len))
    if not layers:
        raise EngineError(
            f"no linear layers were found in the graph of {subject.name}; nothing would run in INT8"
        )
    ranges = with_shared_ranges(layers, channel_ranges(subject.reference, subject.rows))
    return Ready(subject, layers, ranges)


def _best(ready: Ready, choice: Choice, told: Told) -> Quantized:
    subject = ready.subject
    return best_engine(
        subject.reference, ready.layers, ready.ranges, subject.judge,
        lambda step: told(f"{choice.name}: {step}"), choice.scheme,
    )  # fmt: skip


def _others(ready: Ready, chosen: Choice, told: Told) -> dict[str, Quantized]:
    """The other schemes, each as it is."""
    found = {}
    for choice in CHOICES.values():
        if choice.name != chosen.name:
            told(f"{choice.name}: quantizing, to compare")
            found[choice.name] = attempt(
                ready.subject.reference, ready.layers, ready.ranges, ready.subject.judge,
                scheme=choice.scheme,
            )  # fmt: skip
    return found


def _times(ready: Ready, found: Mapping[str, Quantized]) -> dict[str, dict[str, float]]:
    """Median times over that of FP32, by scheme and shape."""
    sessions = {REFERENCE: open_session(ready.subject.reference, threads=1)}
    sessions |= {name: open_session(each.model, threads=1) for name, each in found.items()}
    by_shape = {
        f"{batch}x{tokens}": relative_times(
            sessions, batch, tokens, SECONDS_A_SHAPE, ready.subject.token_ids
        )
        for batch, tokens in TIMED_SHAPES
    }
    return {name: {shape: by_shape[shape][name] for shape in by_shape} for name in found}


def _tried(name: str, found: Quantized, times: Mapping[str, dict[str, float]]) -> list[Tried]:
    *before, last = found.tried
    return [*(Tried(name, each, None) for each in before), Tried(name, last, times[name])]


def _made(
    asked: Quantize, subject: Subject, choice: Choice, found: Quantized, work: Path
) -> EngineCard:
    """Write engine and card into `work`; the gate judges the file once more."""
    onnx.save(found.model, work / ENGINE_FILE)
    require_plain(work / ENGINE_FILE)
    measured = subject.make_card(found, work)
    gate.require(subject.name, measured.gate)
    recipe = [measured.recipe_sha256, choice.name, measured.engine_sha256]
    card = measured.model_copy(
        update={
            "version": str(asked.version or _next_version(asked.source.repository / subject.name)),
            "scheme": choice.text + REST_FP32,
            "scheme_notes": scheme_notes(found),
            "recipe_sha256": value_sha256(recipe),
        }
    )
    write_card(card, work)
    return card


def _next_version(model: Path) -> int:
    versions = versions_of(model) if (model / CONFIG_FILE).is_file() else []
    return int(versions[-1].name) + 1 if versions else 1


def put_whole(work: Path, out: Path) -> None:
    """Copy the finished folder to its place, whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        shutil.copytree(work, staged / "new")
        (staged / "new").chmod(0o755)  # temporary folders are private
        if out.exists():
            out.rename(staged / "old")
        (staged / "new").rename(out)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
