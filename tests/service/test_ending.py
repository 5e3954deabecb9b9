"""What signals do to a service with requests under way: nobody loses one, and it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import grpc
import pytest

from chaos.balancer import Balancer
from chaos.load import Load, Outcome, Sent
from chaos.questions import Question, learn
from tests.fake_triton import FakeTriton, running_fake_triton
from tests.service.api_process import Answer, ApiProcess, ask, until
from tests.service.conftest import MODELS

# Long enough to look, short enough to wait for.
DRAIN = {"SUB50_DRAIN_SECONDS": "1.5"}
LONG = {"SUB50_DRAIN_SECONDS": "60"}
# Forty slices.
BULK = json.dumps({"input": ["a good film " * 10] * 128}).encode()


@pytest.fixture(scope="module")
def shared_triton() -> Iterator[FakeTriton]:
    """A fake Triton in a thread, for processes of the API."""
    started: Future[FakeTriton] = Future()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with running_fake_triton(MODELS) as fake:
            started.set_result(fake)
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    task = loop.create_task(serve())
    thread = threading.Thread(target=lambda: loop.run_until_complete(task))
    thread.start()
    yield started.result(20)
    loop.call_soon_threadsafe(task.cancel)
    thread.join()
    loop.close()


@pytest.fixture
def triton(shared_triton: FakeTriton) -> Iterator[FakeTriton]:
    yield shared_triton
    shared_triton.delay_seconds = 0.0
    shared_triton.failure = None


StartApi = Callable[..., ApiProcess]


@pytest.fixture
def start_api(repository: Path, triton: FakeTriton) -> Iterator[StartApi]:
    """`start_api(…)`: a process, ready; killed at the end where it has not ended."""
    started: list[ApiProcess] = []

    def start(*before: str, **environment: str) -> ApiProcess:
        started.append(ApiProcess(repository, triton.target, before, **environment))
        return started[-1].__enter__()

    yield start
    for each in started:
        each.__exit__()


def test_after_sigterm_it_is_not_ready_and_serves_on_until_the_listener_closes(
    start_api: StartApi,
) -> None:
    api = start_api(**DRAIN)
    with closing(api.connect()) as kept, socket.create_connection(("127.0.0.1", api.port)):
        assert not ask(kept).closes
        begun = time.monotonic()
        api.send(signal.SIGTERM)
        until(lambda: api.get("/readyz").status == 503, seconds=0.5)
        assert b"the service is being stopped" in api.get("/readyz").content
        # Alive: to be started anew is the last that it needs.
        assert api.get("/livez").status == 200
        for answer in (ask(kept), api.classify()):
            assert answer.status == 200
            assert answer.closes
        assert b"sub50_draining 1.0" in api.get("/metrics").content
        # The connection that asks for nothing holds nothing up.
        status, output = api.end(None)
    assert status == 0, output
    assert 1.4 < time.monotonic() - begun < 6
    assert "still served for 1." in output
    assert api.get("/livez").status == 0


def test_no_request_is_lost_while_instances_end_one_after_the_other(start_api: StartApi) -> None:
    """Two behind a balancer that goes by /readyz and retries nothing; each ends under load."""
    both = [start_api(**DRAIN), start_api(**DRAIN)]
    questions = learn("127.0.0.1", both[0].port)
    sent = asyncio.run(ended_in_turn(both, questions, lambda: start_api(**DRAIN)))
    assert len(sent) > 100
    lost = [(round(each.began - sent[0].began, 2), each.why) for each in sent if not right(each)]
    assert lost == []


def right(sent: Sent) -> bool:
    return sent.outcome is Outcome.RIGHT


async def ended_in_turn(
    instances: list[ApiProcess], questions: list[Question], start: Callable[[], ApiProcess]
) -> list[Sent]:
    third = await asyncio.to_thread(start)
    balancer = Balancer(("127.0.0.1", each.port) for each in (*instances, third))
    balancing = asyncio.create_task(balancer.run())
    await asyncio.sleep(0.5)
    # A request that waits for a busy machine is not lost.
    load = Load(questions, balancer.choose, rate_per_second=60, patience_seconds=15)
    sending = asyncio.create_task(load.run(5))
    for each in instances:
        await asyncio.sleep(0.3)
        status, output = await asyncio.to_thread(each.end)
        assert status == 0, output
    await sending
    balancing.cancel()
    with suppress(asyncio.CancelledError):
        await balancing
    return load.sent


@contextmanager
def under_way(api: ApiProcess, triton: FakeTriton, seconds: float) -> Iterator[Future[Answer]]:
    """A request that Triton takes so long for, and has begun with."""
    triton.delay_seconds = seconds
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(api.classify)
        until(lambda: b"sub50_inflight 1.0" in api.get("/metrics").content, seconds=10)
        yield asked


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_is_under_way_finishes(
    start_api: StartApi, triton: FakeTriton, number: signal.Signals
) -> None:
    api = start_api()
    begun = time.monotonic()
    with under_way(api, triton, seconds=1) as asked:
        status, output = api.end(number)
    assert asked.result().status == 200
    assert status == 0, output
    assert time.monotonic() - begun < 5


def test_a_second_sigterm_closes_the_listener_and_what_is_under_way_finishes(
    start_api: StartApi, triton: FakeTriton
) -> None:
    api = start_api(**LONG)
    with under_way(api, triton, seconds=2) as asked:
        api.send(signal.SIGTERM)
        until(lambda: api.get("/readyz").status == 503, seconds=1)
        api.send(signal.SIGTERM)
        until(lambda: api.get("/livez").status == 0, seconds=1)
        status, output = api.end(None)
    assert asked.result().status == 200
    assert status == 0, output


@pytest.mark.parametrize(
    "numbers", [[signal.SIGINT, signal.SIGINT], [signal.SIGTERM, signal.SIGHUP, signal.SIGTERM]]
)
def test_the_last_signal_cuts_off_what_is_under_way_and_its_client_is_told(
    start_api: StartApi, triton: FakeTriton, numbers: list[signal.Signals]
) -> None:
    api = start_api(**LONG)
    begun = time.monotonic()
    with under_way(api, triton, seconds=15) as asked:
        for number in numbers:
            api.send(number)
            time.sleep(0.3)
        status, output = api.end(None)
    assert time.monotonic() - begun < 8
    assert status == 128 + numbers[-1], output
    assert asked.result().status == 503
    assert asked.result().problem == "urn:sub50:problem:stopping"
    assert "Traceback" not in output


def test_a_bulk_request_that_waits_for_its_model_ends_with_the_service(
    start_api: StartApi, triton: FakeTriton
) -> None:
    api = start_api(**LONG)
    triton.delay_seconds = 0.05
    asked = len(triton.requests)
    with ThreadPoolExecutor() as pool, closing(api.connect()) as connection:
        bulk = pool.submit(ask, connection, body=BULK)
        until(lambda: len(triton.requests) >= asked + 5, seconds=10)
        triton.failure = (grpc.StatusCode.UNAVAILABLE, "Socket closed")
        time.sleep(0.5)
        assert not bulk.done()
        for _ in range(3):
            api.send(signal.SIGTERM)
            time.sleep(0.3)
        status, output = api.end(None)
    assert status == 128 + signal.SIGTERM, output
    assert (bulk.result().status, bulk.result().problem) == (503, "urn:sub50:problem:stopping")
    assert "Traceback" not in output


def test_nohup_is_respected_and_nothing_is_waited_for_where_nothing_is_under_way(
    start_api: StartApi,
) -> None:
    api = start_api("nohup")
    api.send(signal.SIGHUP)
    time.sleep(0.5)
    assert api.get("/readyz").status == 200
    begun = time.monotonic()
    assert api.end()[0] == 0
    assert time.monotonic() - begun < 3
