"""An import as a recorded run: where it came from, what the gate found, which engine it made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.card import CARD_FILE, EngineCard
from engines.checksums import file_sha256
from engines.importing import Import, import_checkpoint
from engines.tracking import Run, tracked


def run_import(
    wanted: Import,
    repository: Path,
    tracking_uri: str | None,
    make: Callable[[Import, Path], EngineCard] = import_checkpoint,
) -> EngineCard:
    """Import a checkpoint, by `make`, and record it; returns the engine's card.

    Raises:
        EngineError: see `import_checkpoint`; or `tracking_uri` is no store's address.
    """
    parameters = {"source": wanted.source, "labels": ",".join(wanted.labels)}
    with tracked("import", wanted.name, parameters, None, tracking_uri) as run:
        card = make(wanted, repository)
        _record(run, wanted, card, repository)
    return card


def _record(run: Run, wanted: Import, card: EngineCard, repository: Path) -> None:
    if wanted.data is not None:
        run.data({wanted.data.name: file_sha256(wanted.data)})
    run.metrics(
        {"drift.mean": card.drift.mean_change, "invariance": card.invariance.largest_change}
    )
    for figures in card.accuracy:
        run.metric(f"{figures.data}.accuracy", figures.accuracy)
        run.metric(f"{figures.data}.reference_accuracy", figures.reference_accuracy)
    run.artifact(repository / card.name / card.version / CARD_FILE)
    run.register(card.name, engine_sha256=card.engine_sha256)
