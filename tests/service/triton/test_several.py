"""The client over several Tritons behind one name: turns, breaks, and those that come later."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from service.errors import BackendError, BackendUnavailable, DeadlineExceeded, QueueFull
from service.triton.client import TRIES, TritonClient
from tests.fake_triton import FakeTriton, running_fake_triton
from tests.name_server import NameServer
from tests.service.triton.test_client import ask, connected, until

ROOT = Path(__file__).parents[3]
# Runs a fake Triton at an address and port, until it is ended.
ALONE = """
import asyncio, sys
from tests.fake_triton import running_fake_triton

async def run():
    async with running_fake_triton(port=int(sys.argv[2]), address=sys.argv[1]):
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(run())
"""
# gRPC waits 5 s for the answer to a ping.
GIVEN_UP_SECONDS = 5 + 3
BROKEN = grpc.StatusCode.UNAVAILABLE, "Socket closed"


@dataclass
class Several:
    """Fake Tritons at 127.0.0.1, 127.0.0.2, … with one port, and a client of all of them."""

    tritons: list[FakeTriton]
    client: TritonClient
    names: NameServer
    port: int

    @property
    def asked(self) -> list[int]:
        return [len(triton.requests) for triton in self.tritons]

    async def all_connected(self) -> None:
        await until(lambda: all(self.asked), lambda: ask(self.client))
        for triton in self.tritons:
            triton.requests.clear()


@asynccontextmanager
async def several(count: int) -> AsyncIterator[Several]:
    async with AsyncExitStack() as stack:
        tritons: list[FakeTriton] = []
        port = 0
        for number in range(1, count + 1):
            fake = running_fake_triton(port=port, address=f"127.0.0.{number}")
            tritons.append(await stack.enter_async_context(fake))
            port = int(tritons[0].target.split(":")[1])
        names = stack.enter_context(NameServer([f"127.0.0.{n + 1}" for n in range(count)]))
        client = await stack.enter_async_context(connected(names.target(port)))
        found = Several(tritons, client, names, port)
        await found.all_connected()
        yield found


def test_those_behind_a_name_take_turns() -> None:
    async def run() -> None:
        async with several(3) as found:
            for _ in range(30):
                await ask(found.client)
            assert found.asked == [10, 10, 10]

    asyncio.run(run())


def test_one_that_was_not_there_costs_no_call() -> None:
    async def run() -> None:
        async with several(2) as found:
            found.tritons[0].failure = BROKEN
            for _ in range(10):
                await ask(found.client)
            assert found.asked[1] == 10
            assert found.asked[0] >= 5

    asyncio.run(run())


def test_one_that_is_ending_costs_no_call_among_many() -> None:
    async def run() -> None:
        async with several(3) as found:
            gone = "Request for unknown model: 'tiny' version 1 is not at ready state"
            found.tritons[0].failure = grpc.StatusCode.UNAVAILABLE, gone
            for _ in range(50):
                await asyncio.gather(*(ask(found.client) for _ in range(7)))
            assert found.asked[0] >= 50

    asyncio.run(run())


def test_where_none_is_there_the_calls_end() -> None:
    async def run() -> None:
        async with several(2) as found:
            for triton in found.tritons:
                triton.failure = BROKEN
            with pytest.raises(BackendUnavailable):
                await ask(found.client)
            assert sum(found.asked) == TRIES

    asyncio.run(run())


def test_the_next_call_has_the_time_that_is_left() -> None:
    async def run() -> None:
        async with several(2) as found:
            for triton in found.tritons:
                triton.failure = BROKEN
                triton.delay_seconds = 0.3
            begun = time.monotonic()
            with pytest.raises(DeadlineExceeded):
                await ask(found.client, timeout_ms=400)
            assert time.monotonic() - begun < 0.55

    asyncio.run(run())


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ((grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size"), QueueFull),
        ((grpc.StatusCode.INTERNAL, "the engine failed"), BackendError),
    ],
)
def test_a_triton_that_refused_or_failed_is_not_asked_again(
    failure: tuple[grpc.StatusCode, str], error: type
) -> None:
    async def run() -> None:
        async with several(2) as found:
            for triton in found.tritons:
                triton.failure = failure
            with pytest.raises(error):
                await ask(found.client)
            assert sum(found.asked) == 1

    asyncio.run(run())


def test_a_triton_alone_is_asked_once() -> None:
    async def run() -> None:
        async with running_fake_triton() as fake, connected(fake.target) as client:
            fake.failure = BROKEN
            with pytest.raises(BackendUnavailable):
                await ask(client)
            assert len(fake.requests) == 1

    asyncio.run(run())


def test_one_that_goes_while_it_is_asked_loses_no_call() -> None:
    async def run() -> None:
        async with several(2) as found:
            goes = running_fake_triton(port=found.port, address="127.0.0.3")
            triton = await goes.__aenter__()
            found.names.addresses.append("127.0.0.3")
            async with connected(found.names.target(found.port)) as client:
                await until(lambda: bool(triton.requests), lambda: ask(client))
                triton.delay_seconds = 5
                calls = [asyncio.create_task(ask(client)) for _ in range(9)]
                await until(lambda: len(triton.requests) >= 4)
                await goes.__aexit__(None, None, None)
                answers = await asyncio.gather(*calls, return_exceptions=True)
                assert [answer for answer in answers if isinstance(answer, Exception)] == []

    asyncio.run(run())


@contextmanager
def of_its_own_process(address: str, port: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", ALONE, address, str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def test_one_that_hangs_loses_its_turn_within_seconds() -> None:
    async def run() -> None:
        async with running_fake_triton() as fake:
            port = int(fake.target.split(":")[1])
            target = f"ipv4:{fake.target},127.0.0.2:{port}"
            with of_its_own_process("127.0.0.2", port) as hangs:
                async with connected(target) as client:
                    answered = [await ask(client) for _ in range(20)]
                    assert 5 <= len(fake.requests) <= len(answered) - 5, "both have their turns"
                    hangs.send_signal(signal.SIGSTOP)
                    begun, in_a_row = time.monotonic(), 0
                    while in_a_row < 10:
                        assert time.monotonic() - begun < GIVEN_UP_SECONDS
                        try:
                            await ask(client, timeout_ms=100)
                            in_a_row += 1
                        except DeadlineExceeded:
                            in_a_row = 0
                    assert time.monotonic() - begun > 1, "it did hang"

    asyncio.run(run())
