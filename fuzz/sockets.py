"""Raw bytes to the socket: each is answered or its connection closed, and others are served."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from typing import Protocol, TypeVar

from fuzz.outcome import Outcome
from fuzz.raw_requests import HIDDEN, RawRequest, make
from fuzz.target import Target

PART = "raw bytes to the socket"
CONNECTIONS = 48
# Who has sent only a part of a request is waited for; so long until we end our side.
IDLE_SECONDS = 0.4
# Between pieces that are to be read on their own.
PAUSE_SECONDS = 0.03
# Then the service has to end its own.
HANG_SECONDS = 15.0
# An ordinary client asks after so many of them.
INPUTS_BETWEEN_QUESTIONS = 200
STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n")
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
# Answers that need no document: the request never became one for a route.
KNOWN = {100, 200, 400, 401, 404, 405, 408, 413, 414, 415, 417, 422, 426, 429, 431, 501, 505}
# Of these the last two are what HTTP has for an unknown method or version, and no fault of ours.
NO_FAULT = {501, 505}


class Unreadable(Exception):
    """What came back is no HTTP."""


class Written(Protocol):
    """What is written to a connection, piece by piece."""

    @property
    def pieces(self) -> tuple[bytes, ...]:
        """One after the other."""
        ...


WrittenT = TypeVar("WrittenT", bound=Written)
Judge = Callable[[int, WrittenT, bytes, Outcome], None]


def fuzz_sockets(target: Target, inputs: int, seed: int) -> Outcome:
    """`inputs` requests of the seeds from `seed` on, some at a time."""
    outcome = Outcome(PART)
    send_all(target, range(seed, seed + inputs), make, judge, outcome)
    return outcome


def send_all(
    target: Target,
    seeds: range,
    make_one: Callable[[int], WrittenT],
    judge_one: Judge[WrittenT],
    outcome: Outcome,
) -> None:
    """Write what is made of each seed to a connection of its own, and judge what comes back.

    Between them an ordinary client asks.
    """
    for first in range(0, len(seeds), INPUTS_BETWEEN_QUESTIONS):
        some = seeds[first : first + INPUTS_BETWEEN_QUESTIONS]
        asyncio.run(_send_some(target, some, make_one, judge_one, outcome))
        if (fault := target.fault()) is not None:
            outcome.other_failure(f"after {outcome.part} {some[0]} to {some[-1]}: {fault}")


async def _send_some(
    target: Target,
    seeds: range,
    make_one: Callable[[int], WrittenT],
    judge_one: Judge[WrittenT],
    outcome: Outcome,
) -> None:
    turns = asyncio.Semaphore(CONNECTIONS)

    async def send(seed: int) -> None:
        async with turns:
            request = make_one(seed)
            try:
                answer = await exchange(target, request.pieces)
            except TimeoutError:
                outcome.other_failure(f"{outcome.part} {seed}: the connection stays open")
            except OSError as error:
                outcome.other_failure(f"{outcome.part} {seed}: no connection: {error!r}")
            else:
                judge_one(seed, request, answer, outcome)
            outcome.inputs += 1

    await asyncio.gather(*map(send, seeds))


async def exchange(target: Target, pieces: Sequence[bytes]) -> bytes:
    """Everything that comes back until the service closes the connection.

    Raises:
        TimeoutError: it does not, though the other side is closed.
    """
    reader, writer = await asyncio.open_connection(target.host, target.port)
    answer = bytearray()
    try:
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(PAUSE_SECONDS)
            writer.write(piece)
            await asyncio.wait_for(writer.drain(), HANG_SECONDS)
        with suppress(TimeoutError):
            while part := await asyncio.wait_for(reader.read(65536), IDLE_SECONDS):
                answer += part
        writer.write_eof()
        async with asyncio.timeout(HANG_SECONDS):
            while part := await reader.read(65536):
                answer += part
    except TimeoutError:
        raise
    except OSError:
        pass  # it has hung up, which it may
    finally:
        writer.close()
    return bytes(answer)


def judge(seed: int, request: RawRequest, answer: bytes, outcome: Outcome) -> None:
    """Count what is wrong with all that came back."""
    judged_statuses(f"raw request {seed}", request.content, answer, outcome)
    if request.intact and HIDDEN in answer:
        outcome.other_failure(f"raw request {seed}: a request hidden in another was answered")


def judged_statuses(
    which: str, content: bytes, answer: bytes, outcome: Outcome, known: Container[int] = KNOWN
) -> list[int]:
    """The statuses of the answers to what was sent, each counted where it must not be.

    There are none where what came back is no HTTP, which is counted, too.
    """
    try:
        statuses = statuses_of(answer, is_head=b"HEAD" in content)
    except Unreadable as error:
        outcome.other_failure(f"{which}: {error}")
        return []
    for status in statuses:
        own_deadline = status == 504 and b"x-request-timeout-ms" in content.lower()
        if status >= 500 and status not in NO_FAULT and not own_deadline:
            outcome.server_error(f"{which}: answered with {status}")
        elif status not in known and not own_deadline:
            outcome.undocumented_answer(f"{which}: answered with {status}")
    return statuses


def statuses_of(answer: bytes, is_head: bool = False) -> list[int]:
    """The statuses of the answers that came one behind the other.

    `is_head`: one of the requests may be HEAD, whose answer tells of a body that it has not.

    Raises:
        Unreadable: they are no HTTP.
    """
    statuses, at = [], 0
    while at < len(answer):
        line = STATUS_LINE.match(answer, at)
        end = answer.find(b"\r\n\r\n", at)
        if line is None or end < 0:
            raise Unreadable(f"no HTTP came back: {answer[at : at + 80]!r}")
        statuses.append(int(line[1]))
        at = end + 4
        length = LENGTH.search(answer, line.end() - 2, at)
        if length is not None and not (is_head and answer[at : at + 5] in (b"", b"HTTP/")):
            at += int(length[1])
    return statuses
