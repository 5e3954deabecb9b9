"""Makes an engine of what a team trained: an adapter folder and the texts to judge it by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from core.card import EngineCard
from core.versions import versions_of
from engines import base
from engines.catalog import ModelSpec
from engines.errors import EngineError
from engines.making import ingredients_of, make_version
from engines.material import Material
from engines.merge import trained_labels
from engines.model_config import write_model_files
from engines.whole_file import new_folder

FIRST_VERSION = "1"


@dataclass(frozen=True)
class Trained:
    """A folder with `adapter.safetensors` and `card.json`, and what its model is to be."""

    folder: Path
    name: str
    description: str


def build_trained(
    trained: Trained, repository: Path, material: Material, base_folder: Path | None = None
) -> EngineCard:
    """Make the first version of a new model in `repository`, served from the next start on.

    Raises:
        EngineError: there is a model of that name, which `make_candidate` and a promotion give a
            new version; or as `make_candidate`. The repository is as it was.
    """
    folder = repository / trained.name
    if versions_of(folder):
        raise EngineError(
            f"there is a model {trained.name} in {repository}; make a candidate and promote it"
        )
    with new_folder(folder):
        card = make_candidate(trained, folder / FIRST_VERSION, material, base_folder)
        write_model_files(_spec(trained), repository)
    return card


def make_candidate(
    trained: Trained, target: Path, material: Material, base_folder: Path | None = None
) -> EngineCard:
    """Make a version folder anywhere, for `sub50 engines promote`.

    Args:
        target: the folder to make; its name is the version's number.

    Raises:
        EngineError: the adapter is not what its card says, or the gate refuses.
    """
    ingredients = ingredients_of(
        _spec(trained), base.ensure_base(base_folder), trained.folder.resolve().parent
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    with Console(stderr=True).status(trained.name) as status:
        return make_version(
            ingredients,
            lambda: material,
            target,
            told=lambda step: status.update(f"{trained.name}: {step}"),
        )


def _spec(trained: Trained) -> ModelSpec:
    return ModelSpec(
        name=trained.name,
        description=trained.description,
        task="classify",
        output="logits",
        labels=trained_labels(trained.folder),
        adapter=trained.folder.resolve().name,
    )
