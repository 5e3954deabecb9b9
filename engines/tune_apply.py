"""Writes what tuning chose, and takes it back: engine file, cards, config.pbtxt.

The configuration belongs to the model, so the cards of its other versions follow.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from core.card import EngineCard, Hardware, Tuning, write_card
from core.plan import TENSORRT
from core.versions import VersionError, promotion_lock, served_folder, versions_of
from engines.catalog import spec_of
from engines.checksums import file_sha256
from engines.cuda import cuda_gpu
from engines.errors import EngineError
from engines.hardware import hardware, machine
from engines.listing import card_of
from engines.model_config import CONFIG_FILE, config_text, tuned_config, untuned_text
from engines.plan_config import built_plan_text, tuned_plan_text
from engines.plan_files import PLAN_FILES, built_precision
from engines.runtimes import DEFAULT, GPU_FILE, REFERENCE_FILE, Candidate, gpu_of
from engines.tune_report import Tuned
from engines.tune_subject import Subject
from engines.whole_file import whole_file

# What tuning may lay beside what was built.
BESIDE = (REFERENCE_FILE, GPU_FILE, *PLAN_FILES.values())


def apply(tuned: Tuned, subject: Subject, made: Path) -> None:
    """Write the winner into the version folder, the card and config.pbtxt.

    In that order: whatever config.pbtxt names is in place when it is read.

    Args:
        tuned: what was measured of the subject.
        subject: the version that is served.
        made: the winner's engine file, which is copied where it is not what was built.

    Raises:
        EngineError: another version has been promoted meanwhile; nothing was written.
    """
    candidate, version = tuned.winner, subject.folder
    with _held(subject):
        if candidate.engine_file in BESIDE:
            with whole_file(version / candidate.engine_file) as partial:
                shutil.copyfile(made, partial)
        served = {
            "backend": candidate.backend,
            "precision": candidate.precision,
            "tuning": _tuning(tuned, version),
        }
        write_card(subject.card.model_copy(update=served), version)
        write_config(version.parent, _tuned_text(tuned, subject.card))
        _remove_beside(version, candidate.engine_file)
        _tell_others(subject, candidate, is_tuned=True)


def reset(subject: Subject) -> None:
    """Go back to what was built or imported: ONNX Runtime and INT8, or the version's own plan.

    Raises:
        EngineError: a promotion of the model is under way, or was meanwhile.
    """
    with _held(subject):
        card = subject.card
        write_config(
            subject.folder.parent, built_plan_text(card) if card.plan else untuned_text(card)
        )
        write_card(_as_built(card), subject.folder)
        _remove_beside(subject.folder)
        _tell_others(subject, DEFAULT, is_tuned=False)


def _tuned_text(tuned: Tuned, card: EngineCard) -> str:
    """The text of config.pbtxt for the winner."""
    if card.plan is not None:
        return tuned_plan_text(card, tuned.winner)
    overhead_tokens = round(tuned.line_overhead_ms / tuned.line_ms_per_token)
    config = tuned_config(spec_of(card), tuned.winner, overhead_tokens, card.max_tokens)
    return config_text(config, tuned_model=card.name)


def _as_built(card: EngineCard) -> EngineCard:
    """The card of a version that is run as it was built."""
    if card.plan is None:
        return card.as_built()
    served = {"backend": TENSORRT, "precision": built_precision(card), "tuning": None}
    return card.model_copy(update=served)


def _remove_beside(version: Path, but: str | None = None) -> None:
    """Remove what an earlier tuning laid into a version folder, but for the file of that name."""
    for name in BESIDE:
        if name != but:
            (version / name).unlink(missing_ok=True)


def write_config(folder: Path, text: str) -> None:
    """Replace a model's config.pbtxt, whole or not at all."""
    with whole_file(folder / CONFIG_FILE) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def _held(subject: Subject) -> Iterator[None]:
    """The model held against promotions, its served version still the one that was measured."""
    folder = subject.folder.parent
    try:
        with promotion_lock(folder):
            served = served_folder(folder)
            if served != subject.folder:
                raise EngineError(
                    f"version {served.name if served else 'none'} of {subject.name} is served by "
                    f"now, and version {subject.folder.name} was measured; nothing was written. "
                    "Tune it again"
                )
            yield
    except VersionError as error:
        raise EngineError(f"{error}; nothing was written") from error


def _tell_others(subject: Subject, candidate: Candidate, is_tuned: bool) -> None:
    """Let the cards of the other versions say how they would run now, if they were served.

    Their own tuning went with the configuration, but for an engine file that it names again.
    """
    for version in versions_of(subject.folder.parent):
        card = card_of(version)
        if version == subject.folder or card is None or card.tuning is None:
            continue
        if is_tuned and card.tuning.engine_file == candidate.engine_file:
            way = candidate.as_dict()
            if card.plan is not None:
                way["precision"] = card.precision  # a version's own plan has its own
            changes: dict[str, object] = {
                "backend": candidate.backend,
                "precision": way["precision"],
                "tuning": card.tuning.model_copy(update=way),
            }
        else:
            changes = {"backend": candidate.backend} if card.plan is None else {}
            card = _as_built(card)
            _remove_beside(version)
        write_card(card.model_copy(update=changes), version)


def _tuning(tuned: Tuned, version: Path) -> Tuning:
    candidate = tuned.winner
    return Tuning(
        backend=candidate.backend,
        precision=candidate.precision,
        threads=candidate.threads,
        instances=candidate.instances,
        engine_file=candidate.engine_file,
        engine_sha256=file_sha256(version / candidate.engine_file),
        lengths=tuned.lengths,
        line_overhead_ms=tuned.line_overhead_ms,
        line_ms_per_token=tuned.line_ms_per_token,
        machine=f"{tuned.gpu}; {machine()}" if candidate.on_gpu else machine(),
        hardware=_hardware(candidate),
        tuned_at=datetime.now(UTC).isoformat(timespec="seconds"),
        candidates=tuned.candidates(),
    )


def _hardware(candidate: Candidate) -> Hardware | None:
    """What the candidate was measured on; None for one that runs on a GPU, where there is none."""
    if not candidate.on_gpu:
        return hardware()
    if candidate.backend == TENSORRT:
        return hardware(gpu_of(candidate))
    gpu = cuda_gpu()
    return hardware(gpu) if gpu else None
