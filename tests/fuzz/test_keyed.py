"""The short form of fuzzing a service that asks for keys; and that who is let in is found out."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest

from fuzz import credentials, keyed, keyed_requests, sockets
from fuzz.keyed_requests import Asked, KeyedRequest
from fuzz.keys import CALLER, MANAGER, settings_in
from fuzz.outcome import Outcome
from fuzz.target import Target
from tests.service.conftest import StartService, repository, start_service

SEED = 1
INPUTS = 300
# Enough to find what is wide open.
FEW_INPUTS = 60
__all__ = ["repository", "start_service"]


@pytest.fixture(autouse=True)
def _few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Client, service and stand-in share a process; a model that is slow then counts as silent."""
    monkeypatch.setattr(sockets, "CONNECTIONS", 6)


def fuzzed(
    start: StartService, repository: Path, inputs: int = FEW_INPUTS, **settings: Any
) -> Outcome:
    service = start(0.1, repository=repository, pages_per_second=100_000, **settings)
    port = urlsplit(service.url).port
    assert port is not None
    return keyed.fuzz_keys(Target(port, repository, key=CALLER), inputs, SEED)


def test_nobody_is_let_in(
    start_service: StartService,
    repository: Path,
    tmp_path: Path,
) -> None:
    outcome = fuzzed(start_service, repository, INPUTS, **settings_in(tmp_path))
    assert outcome.findings == []
    assert (outcome.failures, outcome.inputs) == (0, INPUTS)


@pytest.mark.parametrize("left_out", ["api_keys_file", "closed_pages"])
def test_who_is_let_in_is_found_out(
    start_service: StartService,
    repository: Path,
    tmp_path: Path,
    left_out: str,
) -> None:
    settings = settings_in(tmp_path)
    del settings[left_out]
    assert fuzzed(start_service, repository, **settings).let_in > 0


def test_who_is_turned_away_with_a_key_is_found_out(
    start_service: StartService,
    repository: Path,
    tmp_path: Path,
) -> None:
    settings = settings_in(tmp_path)
    del settings["management_keys_file"]
    outcome = fuzzed(start_service, repository, **settings)
    assert outcome.let_in == 0
    assert "with its key, and turned away" in outcome.findings[0]


def test_no_near_miss_is_a_key() -> None:
    made = {credentials.near_miss(Random(seed)) for seed in range(2000)}
    assert len(made) > 200
    assert not {each.strip() for each in made} & {CALLER.encode(), MANAGER.encode()}


def test_a_seed_makes_the_same_requests_again_and_of_every_kind() -> None:
    made = [keyed_requests.make(seed) for seed in range(500)]
    assert made == [keyed_requests.make(seed) for seed in range(500)]
    asked = [each for request in made for each in request.asked]
    kinds = {(each.allowed, each.owed) for each in asked}
    assert kinds == {(False, False), (True, False), (True, True)}
    assert any(not request.asked for request in made)


def answer(status: int, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body


STRANGER = Asked(b"GET / HTTP/1.1\r\n\r\n", allowed=False, owed=False)
HOLDER = Asked(b"GET / HTTP/1.1\r\n\r\n", allowed=True, owed=True)


@pytest.mark.parametrize(
    ("asked", "came", "counts"),
    [
        ((STRANGER,), answer(401), (0, 0, 0, 0)),
        ((STRANGER,), answer(200), (0, 0, 1, 0)),
        ((HOLDER, STRANGER), answer(200) + answer(401), (0, 0, 0, 0)),
        ((HOLDER, STRANGER), answer(200) * 2, (0, 0, 1, 0)),
        ((HOLDER,), answer(401), (0, 0, 0, 1)),
        ((HOLDER,), answer(409), (0, 0, 0, 0)),
        ((HOLDER,), answer(500), (1, 0, 0, 0)),
        ((HOLDER,), answer(302), (0, 1, 0, 0)),
        ((STRANGER,), answer(401, MANAGER.encode()), (0, 0, 0, 1)),
        ((), answer(200, b"ok\n") + answer(400), (0, 0, 0, 0)),
        ((), answer(200, b"{}"), (0, 0, 1, 0)),
    ],
)
def test_what_counts_as_a_failure(
    asked: tuple[Asked, ...], came: bytes, counts: tuple[int, int, int, int]
) -> None:
    outcome = Outcome("keys")
    keyed.judge(0, KeyedRequest((b"",), asked), came, outcome)
    found = (outcome.server_errors, outcome.undocumented, outcome.let_in, outcome.other)
    assert found == counts
