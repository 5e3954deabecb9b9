"""Where runs are recorded: an MLflow store, SQLite on this machine by default or a server by URL.

Best effort: a store that cannot be reached costs its record, never the work that was to be
recorded, and a server that is slow or sends a byte now and then costs bounded time. The first
failure is told in a line, and the rest is silent.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar
from urllib.parse import urlsplit

from rich.console import Console

from engines.errors import EngineError

VARIABLE = "SUB50_TRACKING_URI"
DEFAULT_URI = "sqlite:///runs/tracking.db"
NONE = "none"
SQLITE, SERVERS = "sqlite:///", ("http://", "https://")
# MLflow would try for minutes, send statistics of its use, and print addresses of runs to standard
# output, which is for JSON.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}
# A server's time for one step, such as registering a model.
PATIENCE_SECONDS = 10.0
# All steps together may take so much, and this share of the time that the work takes.
SPENT_SECONDS, SPENT_SHARE = 30.0, 0.1
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
            f"tracking URI {without_password(uri, uri)!r}: give {SQLITE}FILE, the URL of an "
            f"MLflow server, or {NONE}"
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
        self._opened, self._spent = time.monotonic(), 0.0
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
            if self.path is not None:
                return act(self._client)
            return self._asked(act)
        except Exception as error:  # whatever a store, a driver or the network raises
            self._fail(reason_of(error))
            return None

    def _asked(self, act: Callable[[Any], Result]) -> Result:
        """Ask a server, without waiting longer than it may take.

        Raises:
            TimeoutError: it took too long, now or in all.
        """
        begun = time.monotonic()
        result = in_time(lambda: act(self._client), PATIENCE_SECONDS)
        self._spent += time.monotonic() - begun
        elapsed = time.monotonic() - self._opened
        if self._spent > SPENT_SECONDS + SPENT_SHARE * elapsed:
            raise TimeoutError(f"it is slow: {self._spent:.0f} of {elapsed:.0f} s went there")
        return result

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
        line = without_password(" ".join(reason.split()), self.uri)
        if len(line) > LONGEST_REASON:
            line = f"{line[:LONGEST_REASON]}…"
        Console(stderr=True).print(
            f"not tracked in {without_password(str(self.uri), self.uri)}: {line}; the work goes on",
            style="yellow",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def in_time(act: Callable[[], Result], seconds: float) -> Result:
    """What `act` returns or raises, if it does within so many seconds; else it is left to itself.

    In a thread, since a server that sends a byte now and then never runs into a timeout.

    Raises:
        TimeoutError: it did not.
    """
    ended: SimpleQueue[tuple[Result | None, Exception | None]] = SimpleQueue()

    def run() -> None:
        try:
            ended.put((act(), None))
        except Exception as error:
            ended.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = ended.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def reason_of(error: BaseException) -> str:
    """Why a store failed: where a request was tried again, what was wrong with it at last."""
    cause: BaseException | None = error
    while cause is not None:
        for holder in (cause, *cause.args):
            reason = getattr(holder, "reason", None)
            if isinstance(reason, Exception):
                return str(reason)
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__


def without_password(text: str, uri: str | None) -> str:
    """A text for people in which the password of a store's address, if it has one, is hidden."""
    try:
        password = urlsplit(uri or "").password
    except ValueError:  # no address at all
        return text
    return text.replace(f":{password}@", ":…@") if password else text
