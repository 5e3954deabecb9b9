"""Where runs are recorded: an MLflow store, SQLite on this machine by default or a server by URL.

Best effort: a store that cannot be reached costs its record, never the work that was to be
recorded. It is tried once; the first failure is told in a line, and the rest is silent.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from engines.errors import EngineError

VARIABLE = "SUB50_TRACKING_URI"
DEFAULT_URI = "sqlite:///runs/tracking.db"
NONE = "none"
SQLITE, SERVERS = "sqlite:///", ("http://", "https://")
# MLflow would try for minutes, and send statistics of its use.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
LONGEST_REASON = 200
Result = TypeVar("Result")


def tracking_uri(given: str | None = None) -> str | None:
    """The store's address: `given`, or `SUB50_TRACKING_URI`, or the default; None for `none`.

    Raises:
        EngineError: it is neither a SQLite file nor a server.
    """
    uri = given or os.environ.get(VARIABLE) or DEFAULT_URI
    if uri == NONE:
        return None
    if not uri.startswith((SQLITE, *SERVERS)):
        raise EngineError(
            f"tracking URI {uri!r}: give {SQLITE}FILE, the URL of an MLflow server, or {NONE}"
        )
    return uri


def is_installed() -> bool:
    """Whether MLflow is there; it belongs to training, not to serving."""
    return find_spec("mlflow") is not None


class Store:
    """A client that gives up at the first failure."""

    def __init__(self, uri: str | None) -> None:
        """Nothing is recorded where `uri` is None."""
        self.uri = uri
        self._client: Any = None
        self._has_failed = uri is None
        if uri is not None and not is_installed():
            self._fail("MLflow is not installed (`pip install 'sub50[track]'`)")

    @property
    def is_open(self) -> bool:
        """Whether anything that is recorded will be kept."""
        return not self._has_failed

    def attempt(self, act: Callable[[Any], Result]) -> Result | None:
        """What `act` returns for the MLflow client, or None where the store cannot be reached."""
        if self._has_failed:
            return None
        try:
            if self._client is None:
                self._client = self._connected()
            return act(self._client)
        except Exception as error:  # whatever a store, a driver or the network raises
            self._fail(str(error) or type(error).__name__)
            return None

    def artifact_location(self) -> str | None:
        """Where an experiment keeps its files: beside the SQLite file, or where the server says."""
        if self.path is None:
            return None
        return (self.path.absolute().parent / "artifacts").as_uri()

    @property
    def path(self) -> Path | None:
        """The SQLite file, where it is one."""
        if self.uri is None or not self.uri.startswith(SQLITE):
            return None
        return Path(self.uri.removeprefix(SQLITE))

    def _connected(self) -> Any:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        from mlflow import MlflowClient

        if self.path:
            self.path.absolute().parent.mkdir(parents=True, exist_ok=True)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def _fail(self, reason: str) -> None:
        self._has_failed = True
        line = " ".join(reason.split())
        if len(line) > LONGEST_REASON:
            line = f"{line[:LONGEST_REASON]}…"
        Console(stderr=True).print(
            f"not tracked in {self.uri}: {line}; the work goes on",
            style="yellow",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
