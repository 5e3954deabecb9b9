"""Lists the engines of a repository by their cards."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError
from rich.table import Table

from core.card import EngineCard, read_card
from core.versions import VersionError, served_folder, versions_of
from engines.model_config import CONFIG_FILE


def read_cards(repository: Path) -> list[EngineCard]:
    """The cards of all engines in a repository, by name and version; folders without a valid card
    are left out."""
    models = sorted(path.parent for path in repository.glob(f"*/{CONFIG_FILE}"))
    folders = [version for model in models for version in versions_of(model)]
    return [card for card in map(card_of, folders) if card]


def is_served(card: EngineCard, repository: Path) -> bool:
    """Whether it is the version of its model that is served."""
    try:
        version = served_folder(repository / card.name)
    except VersionError:
        return False
    return version is not None and version.name == card.version


def engine_table(repository: Path) -> Table:
    """The engines of a repository, with what was measured of them, for a terminal."""
    table = Table(title=f"Engines in {repository}", title_justify="left")
    table.add_column("model", no_wrap=True)
    table.add_column("precision", no_wrap=True)
    for heading in ("MB", "accuracy", "change", "invariance", "1x32", "8x128"):
        table.add_column(heading, justify="right")
    for card in read_cards(repository):
        p50_ms = {(timing.batch, timing.tokens): f"{timing.p50_ms:.1f}" for timing in card.timings}
        accuracies = [f"{100 * figures.accuracy:.1f} %" for figures in card.accuracy]
        table.add_row(
            f"{card.name} {card.version}{'' if is_served(card, repository) else ' ○'}",
            card.precision,
            f"{card.engine_bytes / 1e6:.0f}",
            "\n".join(accuracies) or "–",
            f"{card.drift.mean_change:.4f}",
            f"{card.invariance.largest_change:.4f}",
            p50_ms.get((1, 32), "–"),
            p50_ms.get((8, 128), "–"),
        )
    table.caption = (
        "change: mean change of a score against FP32; invariance: largest change with batch-mates "
        "or padding; 1x32, 8x128: P50 in ms of batch x tokens; ○: another version is served"
    )
    table.caption_justify = "left"
    return table


def card_of(folder: Path) -> EngineCard | None:
    """The card in a version folder, or None if there is none that this version can read."""
    try:
        return read_card(folder)
    except (FileNotFoundError, ValidationError):
        return None
