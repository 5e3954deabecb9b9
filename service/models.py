"""The models on disk, as the service sees them: card, labels, tokenizer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.card import TOKENIZER_FILE, EngineCard
from core.checksums import require_recorded
from core.tokenizer import TextTokenizer
from core.versions import VersionError, served_folder, whole_card
from service.disk import told_when_slow
from service.errors import ServeError, UnknownModel

Task = Literal["classify", "summarize"]
BUILD_HINT = "build the engines with `sub50 engines build` (or `make setup`)"


@dataclass(slots=True, eq=False)
class ServedModel:
    """One version of a model: its card, and the tokenizer that belongs to its engine.

    A request looks it up once and keeps it to its end, so that one version tokenizes, runs and
    labels it. `in_flight` counts those that do. One that `stands_in` was tuned to a GPU that cannot
    be used: it is run, and its card says so, as it was built for processors.
    """

    card: EngineCard
    tokenizer: TextTokenizer
    in_flight: int = 0
    stands_in: bool = False

    def stand_in(self) -> None:
        """Its engine for processors runs from now on: the GPU cannot be used any more."""
        self.card, self.stands_in = self.card.as_built(), True

    @property
    def name(self) -> str:
        """The name that requests and Triton use."""
        return self.card.name

    @property
    def version(self) -> str:
        """The version folder, which is Triton's number for it too."""
        return self.card.version

    @property
    def engine_info(self) -> tuple[str, str, str, str, str]:
        """Values for the labels of `sub50_engine_info`."""
        card = self.card
        return card.name, card.version, card.precision, card.backend, card.engine_sha256

    @property
    def instances(self) -> int:
        """Engine calls that run side by side: as tuned, else one that uses all cores."""
        return self.card.tuning.instances if self.card.tuning else 1


class ModelCatalog:
    """All models of a repository, by name."""

    def __init__(self, models: dict[str, ServedModel]) -> None:
        self._models = models

    @classmethod
    def load(cls, repository: Path, stand_ins: Collection[str] = ()) -> ModelCatalog:
        """Read every model folder that has a config.pbtxt.

        `stand_ins` are the models that are served by their engines for processors, though tuned to
        a GPU.

        Raises:
            ServeError: there are no models, or one lacks a usable engine; names it.
        """
        folders = sorted(path.parent for path in repository.glob("*/config.pbtxt"))
        if not folders:
            raise ServeError(
                f"no models in {repository.resolve()}; start in the project's folder or set "
                f"SUB50_REPOSITORY, and {BUILD_HINT}"
            )
        with told_when_slow(f"the models in {repository}"):
            models = [_load_model(folder, folder.name in stand_ins) for folder in folders]
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

    def replace(self, model: ServedModel) -> ServedModel:
        """Serve new requests of the name with `model`; returns the one that did until now."""
        before = self._models[model.name]
        self._models[model.name] = model
        return before


def load_version(
    version: Path, like: ServedModel | None = None, *, stands_in: bool = False
) -> ServedModel:
    """Card and tokenizer of a version folder.

    `like` is another version of the model. It lends its tokenizer where it is the same: parsing one
    takes long enough to make others late. Where it `stands_in`, so does this one.

    Raises:
        VersionError: the folder is not whole, or its tokenizer is not the card's; names what is
            wrong.
    """
    card = whole_card(version)
    stands_in = stands_in or (like is not None and like.stands_in)
    if stands_in:
        card = card.as_built()
    if like is not None and (
        (card.tokenizer_sha256, card.max_tokens)
        == (like.card.tokenizer_sha256, like.card.max_tokens)
    ):
        return ServedModel(card, like.tokenizer, stands_in=stands_in)
    require_recorded(version, card, TOKENIZER_FILE)
    tokenizer = TextTokenizer(version / TOKENIZER_FILE, card.max_tokens)
    return ServedModel(card, tokenizer, stands_in=stands_in)


def _load_model(folder: Path, stands_in: bool) -> ServedModel:
    try:
        version = served_folder(folder)
        if version is None:
            raise VersionError(f"model {folder.name!r} has no engine in {folder}")
        return load_version(version, stands_in=stands_in)
    except VersionError as error:
        raise ServeError(f"{error}; {BUILD_HINT}") from error
