"""The default models: what each is made of, answers, and is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from core.card import EngineCard
from engines.errors import EngineError
from engines.tasks import TASKS

MAX_TOKENS = 512
HIDDEN = 384


@dataclass(frozen=True)
class ModelSpec:
    """One model of the repository.

    `adapter` names a folder of engines/adapters, or is None for the bare base encoder; `data`
    lists labelled files, below the data folder, that accuracy is measured on, and `documents`
    those whose sentences stand in for texts where nothing is labelled.
    """

    name: str
    description: str
    task: Literal["classify", "summarize"]
    output: Literal["logits", "embedding"]
    labels: tuple[str, ...]
    adapter: str | None
    data: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Numbers in one answer."""
        return len(self.labels) if self.output == "logits" else HIDDEN


CATALOG = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="sentiment",
            description="Whether a review or a sentence is positive or negative.",
            task="classify",
            output="logits",
            labels=TASKS["sentiment"].labels,
            adapter="sentiment",
            data=("sst2/validation.jsonl.gz", "reviews/test.jsonl.gz"),
        ),
        ModelSpec(
            name="topics",
            description="What a piece of news is about.",
            task="classify",
            output="logits",
            labels=TASKS["topics"].labels,
            adapter="topics",
            data=("topics/validation.jsonl.gz",),
        ),
        ModelSpec(
            name="general",
            description="Sentence vectors; a summary is the sentences most central to a text.",
            task="summarize",
            output="embedding",
            labels=(),
            adapter=None,
            documents=("contracts/validation.jsonl.gz", "legal_summaries/validation.jsonl.gz"),
        ),
        ModelSpec(
            name="contracts",
            description="How likely a lawyer would mark a sentence of a contract.",
            task="summarize",
            output="logits",
            labels=TASKS["contracts"].labels,
            adapter="contracts",
            documents=("contracts/validation.jsonl.gz",),
        ),
    )
}


def specs(names: Sequence[str] | None = None) -> list[ModelSpec]:
    """The named models, or all.

    Raises:
        EngineError: a name is unknown; the known ones are listed.
    """
    unknown = [name for name in names or () if name not in CATALOG]
    if unknown:
        known = ", ".join(CATALOG)
        raise EngineError(
            f"unknown model {', '.join(unknown)}; the default models are {known}. One of your own "
            "comes from `sub50 engines import` (a checkpoint) or `sub50 engines finetune` "
            "(labelled texts)"
        )
    return [CATALOG[name] for name in names] if names else list(CATALOG.values())


def spec_of(card: EngineCard) -> ModelSpec:
    """The model that an engine answers as, a default one or not."""
    known = CATALOG.get(card.name) if card.imported is None else None
    if known is not None:
        return replace(known, labels=tuple(card.labels), adapter=card.adapter)
    return ModelSpec(
        name=card.name,
        description=card.description,
        task=card.task,
        output=card.output,
        labels=tuple(card.labels),
        adapter=card.adapter,
    )
