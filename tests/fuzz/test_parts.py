"""The short form of `make fuzz`: each part, with a seed, over a stand-in for Triton."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest

from fuzz import control, in_process, sockets
from fuzz.bodies import fuzz_bodies
from fuzz.document import fuzz_document
from fuzz.outcome import Outcome
from fuzz.properties import outcome_of
from fuzz.raw_requests import HIDDEN, POST, RawRequest
from fuzz.report import markdown, rows
from fuzz.target import Target
from service.problems import MEDIA_TYPE
from tests.service.conftest import Service, StartService, repository, start_service

SEED = 1
__all__ = ["repository", "start_service"]


@pytest.fixture
def service(start_service: StartService, repository: Path) -> Service:
    return start_service(0.1, repository=repository)


@pytest.fixture
def target(service: Service, repository: Path) -> Target:
    port = urlsplit(service.url).port
    assert port is not None
    return Target(port, repository)


def check(outcome: Outcome, least_inputs: int) -> None:
    assert outcome.findings == []
    assert outcome.failures == 0
    assert outcome.inputs >= least_inputs


def test_requests_from_the_document(target: Target, tmp_path: Path) -> None:
    check(fuzz_document(target, 60, SEED, tmp_path, "examples,fuzzing,stateful"), 40)


def test_a_service_that_fails_is_found_out(
    service: Service, target: Target, tmp_path: Path
) -> None:
    service.triton.failure = (grpc.StatusCode.INTERNAL, "the engine broke")
    outcome = fuzz_document(target, 12, SEED, tmp_path, "examples")
    assert outcome.server_errors > 0
    assert "seed 1" in outcome.findings[0]


def test_raw_bytes(target: Target) -> None:
    check(sockets.fuzz_sockets(target, 400, SEED), 400)


def test_lines_to_the_control_socket(target: Target) -> None:
    check(control.fuzz_control(target, 300, SEED), 300)


def test_bodies_guided_by_coverage(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="Atheris runs on Linux x86-64 alone")
    check(fuzz_bodies(300, SEED, tmp_path), 300)


def answer(status: int, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body


@pytest.mark.parametrize(
    ("pieces", "came", "counts"),
    [
        ([POST], answer(200) + answer(404), (0, 0, 0)),
        ([POST], b"", (0, 0, 0)),
        ([POST], answer(200) + answer(503), (1, 0, 0)),
        ([POST, b"X-Request-Timeout-Ms: 0.1\r\n\r\n"], answer(504), (0, 0, 0)),
        ([POST], answer(302), (0, 1, 0)),
        ([POST], b"Traceback", (0, 0, 1)),
        ([POST], answer(404, b"GET %s" % HIDDEN), (0, 0, 1)),
    ],
)
def test_what_counts_as_a_failure_of_raw_bytes(
    pieces: Sequence[bytes], came: bytes, counts: tuple[int, int, int]
) -> None:
    outcome = Outcome("raw")
    sockets.judge(0, RawRequest(tuple(pieces), intact=True), came, outcome)
    assert (outcome.server_errors, outcome.undocumented, outcome.other) == counts


@pytest.mark.parametrize(
    ("came", "counts"),
    [
        (b'{"ok": false, "error": "no"}\n', (0, 0, 0)),
        (b'{"ok": false, "error": "unexpected: KeyError()"}\n', (1, 0, 0)),
        (b"", (0, 1, 0)),
        (b'{"ok": true}\n', (0, 1, 0)),
        (b'{"ok": true, "error": ""}\n', (0, 0, 1)),
    ],
)
def test_what_counts_as_a_failure_of_control_lines(
    came: bytes, counts: tuple[int, int, int]
) -> None:
    outcome = Outcome("control")
    control.judge(0, came, outcome)
    assert (outcome.server_errors, outcome.undocumented, outcome.other) == counts


Make = Callable[[int], object]


@pytest.mark.parametrize("make", [control.make, sockets.make])
def test_a_seed_makes_the_same_input_again(make: Make) -> None:
    made = [make(seed) for seed in range(50)]
    assert made == [make(seed) for seed in range(50)]
    assert len({str(each) for each in made}) > 25


def test_the_judge_of_bodies_knows_the_document(service: Service) -> None:
    document = service.client.get("/openapi.json").json()
    app = type("App", (), {"openapi": lambda _: document})()
    judge = in_process.Judge(app)
    headers = {"x-request-id": "x", "server-timing": "x", "content-type": MEDIA_TYPE}
    for status, kind in ((503, in_process.ServerFault), (418, in_process.UndocumentedAnswer)):
        with pytest.raises(kind):
            judge.check("POST", "/predict", in_process.Answer(status, headers, b"{}"))
    with pytest.raises(in_process.UndocumentedAnswer, match="wrong body"):
        judge.check("POST", "/predict", in_process.Answer(422, headers, b"{}"))


def test_a_hang_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that neither answers nor closes; it is asked for no longer than it takes here."""
    monkeypatch.setattr(sockets, "HANG_SECONDS", 0.3)

    async def run() -> None:
        over = asyncio.Event()

        async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await over.wait()
            writer.close()
            await writer.wait_closed()
            closed.set()

        closed = asyncio.Event()
        async with await asyncio.start_server(hold, "127.0.0.1", 0) as server:
            target = Target(server.sockets[0].getsockname()[1], Path())
            with pytest.raises(TimeoutError):
                await sockets.exchange(target, [b"x"])
            over.set()
            await closed.wait()

    asyncio.run(run())


def test_failed_properties_are_named() -> None:
    told = "  - generate: 90 passing, 1 failing, and 9 invalid test cases\nFAILED a::b - E\n"
    outcome = outcome_of(told, "seed 1")
    assert (outcome.inputs, outcome.other) == (91, 1)
    assert outcome.findings == ["a::b (seed 1)"]


def test_the_table_adds_up() -> None:
    outcomes = [Outcome("one", 1000, 1, 0, 2), Outcome("two", 500, 0, 3, 0, let_in=4)]
    assert rows(outcomes)[-1] == ["all", "1,500", "1", "3", "4", "2"]
    assert [outcome.failures for outcome in outcomes] == [3, 7]
    assert "| one | 1,000 | 1 | 0 | 0 | 2 |" in markdown(outcomes, "On a day:")
