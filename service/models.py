"""The models on disk, as the service sees them: card, labels, tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from core.card import CARD_FILE, ENGINE_FILE, TOKENIZER_FILE, EngineCard, read_card
from core.tokenizer import TextTokenizer
from service.errors import ServeError, UnknownModel

Task = Literal["classify", "summarize"]
BUILD_HINT = "build the engines with `sub50 engines build` (or `make setup`)"


@dataclass(frozen=True)
class ServedModel:
    """One model: its card, and the tokenizer that belongs to its engine."""

    card: EngineCard
    tokenizer: TextTokenizer

    @property
    def name(self) -> str:
        """The name that requests and Triton use."""
        return self.card.name

    @property
    def instances(self) -> int:
        """Engine calls that run side by side: as tuned, else one that uses all cores."""
        return self.card.tuning.instances if self.card.tuning else 1


class ModelCatalog:
    """All models of a repository, by name."""

    def __init__(self, models: dict[str, ServedModel]) -> None:
        self._models = models

    @classmethod
    def load(cls, repository: Path) -> ModelCatalog:
        """Read every model folder that has a config.pbtxt.

        Raises:
            ServeError: there are no models, or one lacks a usable engine; names it.
        """
        folders = sorted(path.parent for path in repository.glob("*/config.pbtxt"))
        if not folders:
            raise ServeError(
                f"no models in {repository.resolve()}; start in the project's folder or set "
                f"SUB50_REPOSITORY, and {BUILD_HINT}"
            )
        models = [_load_model(folder) for folder in folders]
        return cls({model.name: model for model in models})

    def get(self, name: str, task: Task) -> ServedModel:
        """The model of that name.

        Raises:
            UnknownModel: there is none, or it does not do `task`; lists those that do.
        """
        model = self._models.get(name)
        if model is None or model.card.task != task:
            known = ", ".join(m.name for m in self._models.values() if m.card.task == task)
            # A name can be a megabyte long; the answer need not be.
            raise UnknownModel(f"no model {name[:100]!r} to {task} with; there are: {known}")
        return model

    def named(self, name: str) -> ServedModel:
        """The model of that name, whatever its task.

        Raises:
            UnknownModel: there is none; lists those that are.
        """
        if name not in self._models:
            raise UnknownModel(f"no model {name[:100]!r}; there are: {', '.join(self._models)}")
        return self._models[name]

    def all(self) -> list[ServedModel]:
        """Every model, by name in order."""
        return list(self._models.values())


def newest_version(folder: Path) -> Path | None:
    """The version folder that Triton serves by default: the highest number, if there is any."""
    versions = [p for p in folder.iterdir() if p.is_dir() and p.name.isdecimal()]
    return max(versions, key=lambda path: int(path.name), default=None)


def _load_model(folder: Path) -> ServedModel:
    version = newest_version(folder)
    if version is None:
        raise ServeError(f"model {folder.name!r} has no engine in {folder}; {BUILD_HINT}")
    for name in (ENGINE_FILE, TOKENIZER_FILE, CARD_FILE):
        if not (version / name).is_file():
            raise ServeError(f"model {folder.name!r} lacks {version / name}; {BUILD_HINT}")
    try:
        card = read_card(version)
    except ValidationError as error:
        raise ServeError(f"{version / CARD_FILE} is not a card: {error}; {BUILD_HINT}") from error
    if card.name != folder.name:
        raise ServeError(f"{version / CARD_FILE} is the card of {card.name!r}; {BUILD_HINT}")
    return ServedModel(card, TextTokenizer(version / TOKENIZER_FILE, card.max_tokens))
