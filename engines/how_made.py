"""Which command makes an engine, for messages that ask for one."""

from __future__ import annotations

from core.card import EngineCard
from engines.catalog import CATALOG


def how_to_make(name: str, card: EngineCard | None = None) -> str:
    """A sentence with the command that makes an engine of that name, anew where `card` has one."""
    if card is not None and card.imported is not None:
        return f"`sub50 engines import {card.base} --name {name} --force` makes it."
    if name in CATALOG:
        return f"`sub50 engines build {name}` makes it."
    finetune = f"`sub50 engines finetune {name} --data FILE`"
    if card is not None:
        return f"{finetune} makes it, of your labelled texts."
    return (
        f"`sub50 engines import CHECKPOINT --name {name}` makes it of a checkpoint, {finetune} of "
        "labelled texts."
    )
