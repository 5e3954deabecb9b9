"""Records runs: parameters, figures, files, git revision, data checksums, versions of tools.

with tracked("finetune", name, asdict(recipe), checksums, uri) as run:
    run.metric("accuracy", 0.9, step=1)
    run.artifact(out / "card.json")
    run.register(name, adapter_sha256=checksum)
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from engines.checksums import value_sha256
from engines.revision import git_revision, tool_versions
from engines.tracking_store import Store, tracking_uri

# MLflow takes no others in the name of a parameter, a figure or a tag.
UNUSABLE = re.compile(r"[^\w\-./ :]")
LONGEST_VALUE = 500
# What MLflow takes of parameters or tags.
MOST_IN_A_CALL = 100
Item = TypeVar("Item")


class Run:
    """One recorded run; every method does nothing where the store cannot be reached."""

    def __init__(self, store: Store, experiment: str | None, run_id: str | None) -> None:
        self.store, self.experiment, self.run_id = store, experiment, run_id

    def metric(self, name: str, value: float, step: int = 0) -> None:
        """A figure, at a step such as an epoch."""
        self.metrics({name: value}, step)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Several figures at one step."""
        found = {_key(name): float(value) for name, value in values.items()}

        def act(client: Any, run_id: str) -> None:
            from mlflow.entities import Metric

            now_ms = round(1000 * time.time())
            each = [Metric(name, value, now_ms, step) for name, value in found.items()]
            client.log_batch(run_id, metrics=each)

        self._attempt(act)

    def parameters(self, values: Mapping[str, Any]) -> None:
        """What the run was asked to do; nested values get a name with dots."""
        found = {_key(name): str(value)[:LONGEST_VALUE] for name, value in flat(values)}

        def act(client: Any, run_id: str) -> None:
            from mlflow.entities import Param

            for some in batched(found.items(), MOST_IN_A_CALL):
                client.log_batch(run_id, params=[Param(name, value) for name, value in some])

        self._attempt(act)

    def tag(self, name: str, value: object) -> None:
        """Something to find the run by."""
        self.tags({name: value})

    def tags(self, values: Mapping[str, object]) -> None:
        """Several tags."""
        found = {_key(name): str(value) for name, value in values.items()}

        def act(client: Any, run_id: str) -> None:
            from mlflow.entities import RunTag

            for some in batched(found.items(), MOST_IN_A_CALL):
                client.log_batch(run_id, tags=[RunTag(name, value) for name, value in some])

        self._attempt(act)

    def data(self, checksums: Mapping[str, Any]) -> None:
        """SHA-256 of the data's files, by name, nested or not."""
        named = {f"data.{name}": value for name, value in flat(checksums)}
        self.tags(named | {"data.sha256": value_sha256(checksums)})

    def artifact(self, path: Path) -> None:
        """Keep a copy of a file."""
        self._do("log_artifact", str(path))

    def text(self, name: str, value: object) -> None:
        """Keep a value as a JSON file called `name`."""
        self._do("log_text", json.dumps(value, indent=2, ensure_ascii=False), name)

    def child(
        self, name: str, parameters: Mapping[str, Any], started: datetime | None = None
    ) -> Run:
        """A run within this one; end it with `end`."""
        return _begun(self.store, self.experiment, name, parameters, self.run_id, started)

    def end(self, status: str = "FINISHED") -> None:
        """The run is through: FINISHED, FAILED or KILLED."""
        self._do("set_terminated", status)

    def register(self, model: str, **tags: str) -> None:
        """Make what this run made the next version of a registered model, found by `tags`."""

        def act(client: Any, run_id: str) -> None:
            if not client.search_registered_models(f"name='{model}'"):
                client.create_registered_model(model)
            source = client.get_run(run_id).info.artifact_uri
            # What it waits for by default, up to five minutes, is the server's own business.
            client.create_model_version(model, source, run_id, tags=tags, await_creation_for=0)

        self._attempt(act)

    def _do(self, method: str, *arguments: Any) -> None:
        self._attempt(lambda client, run_id: getattr(client, method)(run_id, *arguments))

    def _attempt(self, act: Callable[[Any, str], None]) -> None:
        """One step, with the client and the run's id."""
        run_id = self.run_id
        if run_id is not None:
            self.store.attempt(lambda client: act(client, run_id))


@contextmanager
def tracked(
    verb: str,
    name: str,
    parameters: Mapping[str, Any],
    data_checksums: Mapping[str, Any] | None,
    uri: str | None = None,
) -> Iterator[Run]:
    """Record what happens within as a run of the experiment `sub50-<verb>`.

    Args:
        verb: the command.
        name: what it makes.
        parameters: what it was asked to do, the seed among it.
        data_checksums: as `Run.data` takes them; None where they are known only later.
        uri: the store; by default `SUB50_TRACKING_URI`, or a SQLite file in `runs`.

    Raises:
        EngineError: `uri` is no store's address. A store that is down raises nothing.
    """
    store = Store(tracking_uri(uri))
    run = _begun(store, _experiment(store, f"sub50-{verb}"), name, parameters)
    run.tags(_origin())
    if data_checksums is not None:
        run.data(data_checksums)
    try:
        yield run
    except Exception:
        run.end("FAILED")
        raise
    except BaseException:
        run.end("KILLED")
        raise
    run.end()


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested values under one name each, its parts joined with dots."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of at most `size` items, in order."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def _origin() -> dict[str, str]:
    """Tags that say what a run was made of."""
    revision, is_dirty = git_revision()
    return {
        "mlflow.source.git.commit": revision,
        "git.dirty": str(is_dirty).lower(),
        **{f"version.{name}": version for name, version in tool_versions().items()},
    }


def _experiment(store: Store, name: str) -> str | None:
    def act(client: Any) -> str:
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        return str(client.create_experiment(name, store.artifact_location()))

    return store.attempt(act)


def _begun(
    store: Store,
    experiment: str | None,
    name: str,
    parameters: Mapping[str, Any],
    parent: str | None = None,
    started: datetime | None = None,
) -> Run:
    tags = {"mlflow.parentRunId": parent} if parent else {}
    start_ms = round(1000 * (started.timestamp() if started else time.time()))
    made = store.attempt(
        lambda client: client.create_run(experiment, start_ms, tags, run_name=name).info.run_id
    )
    run = Run(store, experiment, made)
    run.parameters(parameters)
    return run


def _key(name: str) -> str:
    return UNUSABLE.sub("_", name)
