"""Keeps the registered model's alias `served` on the version that the service answers with.

After a promotion or a rollback, best effort: what serves is decided on disk (`core/versions.py`),
and the registry follows. Nothing is done where no store was ever made.

    python -m engines.registry MODEL REPOSITORY

does it in the time that whoever serves leaves over.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from core.card import CARD_FILE, EngineCard, read_card
from core.versions import served_folder
from engines.errors import EngineError
from engines.spare_time import step_back_entirely
from engines.tracking import Run, tracked
from engines.tracking_store import SQLITE, Store, is_installed, tracking_uri

SERVED = "served"
ENGINE, ADAPTER, FOLDER = "engine_sha256", "adapter_sha256", "repository_version"


def mark_served_aside(name: str, repository: Path) -> None:
    """`mark_served` in a process that runs last of all, and the wait for it.

    MLflow takes seconds of a core to start: beside a service on two cores that made requests late.
    """
    with suppress(EngineError):  # an address that is none is told by the other process
        if not _is_kept(None):
            return
    command = [sys.executable, "-m", "engines.registry", name, str(repository)]
    subprocess.run(command, start_new_session=True, check=False)


def mark_served(name: str, repository: Path, uri: str | None = None) -> str | None:
    """Give the alias to the version served; returns its number in the registry.

    A version is found by the checksum of its engine, else by that of its adapter, which training
    registered; what was never registered becomes a version. Never raises: where the store cannot
    be reached, one line is told and None returned.
    """
    try:
        if not _is_kept(uri):
            return None
        folder = served_folder(repository / name)
        return _marked(name, folder, tracking_uri(uri)) if folder else None
    except (EngineError, OSError, ValidationError) as error:
        Console(stderr=True).print(f"not registered: {error}", style="yellow", markup=False)
        return None


def _marked(name: str, folder: Path, uri: str | None) -> str | None:
    card = read_card(folder)
    store = Store(uri)
    version = store.attempt(lambda client: _found(client, name, card))
    if version is None and store.is_open:
        with tracked("promote", name, {"version": card.version}, {}, uri) as run:
            run.artifact(folder / CARD_FILE)
            _register(run, card)
        version = store.attempt(lambda client: _found(client, name, card))
    if version is None:
        return None

    def act(client: Any) -> str:
        client.set_model_version_tag(name, version, ENGINE, card.engine_sha256)
        client.set_model_version_tag(name, version, FOLDER, card.version)
        client.set_registered_model_alias(name, SERVED, version)
        return version

    return store.attempt(act)


def _is_kept(uri: str | None) -> bool:
    """Whether there is a registry to follow: a server that was named, or a file that exists."""
    address = tracking_uri(uri)
    if address is None or not is_installed():
        return False
    return not address.startswith(SQLITE) or Path(address.removeprefix(SQLITE)).is_file()


def _register(run: Run, card: EngineCard) -> None:
    tags = {ENGINE: card.engine_sha256}
    if card.adapter_sha256:
        tags[ADAPTER] = card.adapter_sha256
    run.register(card.name, **tags)


def _found(client: Any, name: str, card: EngineCard) -> str | None:
    """The newest version made of this engine, or of its adapter and of no other engine."""
    if not client.search_registered_models(f"name='{name}'"):
        return None
    versions = sorted(client.search_model_versions(f"name='{name}'"), key=lambda v: -int(v.version))
    for version in versions:
        if version.tags.get(ENGINE) == card.engine_sha256:
            return str(version.version)
    for version in versions:
        same = card.adapter_sha256 and version.tags.get(ADAPTER) == card.adapter_sha256
        if same and ENGINE not in version.tags:
            return str(version.version)
    return None


def main() -> None:
    step_back_entirely()
    _, name, repository = sys.argv
    mark_served(name, Path(repository))


if __name__ == "__main__":
    main()
