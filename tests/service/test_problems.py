"""Every error has its status, and every status its documentation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service import errors
from service.errors import FieldError, RequestError
from service.problems import PROBLEMS, body_of, headers_of

README = Path(__file__).parent.parent.parent / "README.md"


def all_errors(root: type[RequestError] = RequestError) -> Iterator[type[RequestError]]:
    for error in root.__subclasses__():
        yield error
        yield from all_errors(error)


def test_every_error_has_an_entry() -> None:
    assert set(all_errors()) == set(PROBLEMS)


def test_slugs_tell_problems_apart_and_none_is_a_500() -> None:
    slugs = [problem.slug for problem in PROBLEMS.values()]
    assert len(set(slugs)) == len(slugs)
    assert all(
        400 <= problem.status < 505 and problem.status != 500 for problem in PROBLEMS.values()
    )


def test_the_readme_names_every_status() -> None:
    text = README.read_text(encoding="utf-8")
    missing = {p.status for p in PROBLEMS.values() if f"| {p.status} |" not in text}
    assert missing == set()


def test_fields_are_named_in_the_body() -> None:
    body = body_of(errors.InvalidFields([FieldError("input.3", "is blank")]), "id")
    assert body["status"] == 422
    assert body["errors"] == [{"field": "input.3", "message": "is blank"}]
    assert body["request_id"] == "id"


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (errors.Refused("full", reason="x", retry_after_seconds=2), "Retry-After", "2"),
        (errors.QueueFull("full"), "Retry-After", "1"),
        (errors.BackendUnavailable("gone", retry_after_seconds=3), "Retry-After", "3"),
        (errors.Unauthorized("no"), "WWW-Authenticate", "Bearer"),
        (errors.TooLarge("body", "too large"), "Connection", "close"),
    ],
)
def test_headers_that_go_with_an_error(error: RequestError, name: str, value: str) -> None:
    assert headers_of(error)[name] == value
