"""Ask a running service from the command line, and show its answers to people."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

DEFAULT_URL = "http://127.0.0.1:8080"
ASK_TIMEOUT_SECONDS = 130
# A person at a terminal would rather wait than be refused: not under the promise.
PATIENCE_MS = 120_000
# A key belongs in the environment: on the command line every user of the machine could read it.
KEY_VARIABLE = "SUB50_API_KEY"


class AskError(Exception):
    """The service could not be asked, or said no. The message is for people."""


def ask(url: str, route: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST `body` as JSON and return the answer's object.

    Raises:
        AskError: nothing listens there, or the answer is a problem.
    """
    if not url.startswith(("http://", "https://")):
        raise AskError(f"{url!r} is no HTTP address; it looks like {DEFAULT_URL}")
    headers = {"Content-Type": "application/json", "X-Request-Timeout-Ms": str(PATIENCE_MS)}
    if os.environ.get(KEY_VARIABLE):
        headers["Authorization"] = f"Bearer {os.environ[KEY_VARIABLE]}"
    try:
        content = json.dumps(body).encode()
        request = urllib.request.Request(url.rstrip("/") + route, content, headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=ASK_TIMEOUT_SECONDS) as response:  # noqa: S310
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        raise AskError(_problem_text(error)) from error
    except (urllib.error.URLError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        raise AskError(
            f"no service at {url} ({reason}); start one with `sub50 serve`, "
            "or say where it is with --url"
        ) from error
    except ValueError as error:
        raise AskError(f"{url} is not a sub50 service: {error}") from error
    if not isinstance(answer, dict):
        raise AskError(f"{url} is not a sub50 service: its answer is no object")
    return answer


def _problem_text(error: urllib.error.HTTPError) -> str:
    try:
        return f"{error.code}: {json.load(error)['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{error.code}: {error.reason}"


def show_labels(answer: dict[str, Any], console: Console) -> None:
    """A table of labels and scores."""
    table = Table(title=f"{answer['model']}, version {answer['version']}", title_justify="left")
    table.add_column("label")
    table.add_column("score", justify="right")
    table.add_column("")
    for result in answer["results"]:
        for item in result["scores"]:
            bar = "█" * round(item["score"] * 20)
            table.add_row(item["label"], f"{item['score']:.3f}", bar)
    console.print(table)


def show_summary(answer: dict[str, Any], console: Console) -> None:
    """A table of sentences with their places in the source."""
    for result in answer["results"]:
        kept, of = len(result["sentences"]), result["source_sentences"]
        table = Table(
            title=f"{answer['model']}: {kept} of {of} sentences",
            title_justify="left",
            show_lines=True,
        )
        table.add_column("characters", justify="right", no_wrap=True)
        table.add_column("score", justify="right")
        table.add_column("sentence")
        for item in result["sentences"]:
            place = f"{item['start']}-{item['end']}"
            # Text, not markup: a contract's [brackets] are its own.
            table.add_row(place, f"{item['score']:.3f}", Text(" ".join(item["text"].split())))
        console.print(table)
