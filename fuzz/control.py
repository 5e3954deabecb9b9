"""Lines to the socket over which commands promote: none of these may do anything."""

from __future__ import annotations

import json
import socket
from random import Random

from core.control import short_path
from fuzz.outcome import Outcome
from fuzz.raw_requests import changed
from fuzz.target import Target

PART = "lines to the control socket"
ANSWER_SECONDS = 30.0
# An ordinary client asks after so many of them.
INPUTS_BETWEEN_QUESTIONS = 200
NAMES = [
    "",
    "nope",
    "../sentiment",
    "/etc",
    "sentiment/1",
    "sentiment\0",
    "\udfff",
    "x" * 5000,
    "😀",
]
VERSIONS = ["999999", "", "-1", "1e3", "../1", "١", "1\n", "9" * 5000, "latest", "1;rm"]
ODD: list[object] = [None, True, 0, -1, 1e308, 10**400, "", [], {}, [[[]]], "NaN", "promote\n"]


def make(seed: int) -> bytes:
    """The line of a seed, always the same. None asks for what could be done."""
    random = Random(seed)
    kind = random.randrange(5)
    if kind == 0:
        return random.randbytes(random.choice((0, 1, 30, 2000))).replace(b"\n", b"")
    if kind == 1:
        depth = random.choice((10, 1000, 30_000))
        return random.choice((b"[", b'{"do":')) * depth
    if kind == 2:
        return b'{"do": "' + b"x" * random.choice((10, 60_000, 70_000, 300_000)) + b'"}'
    line = json.dumps(_message(random)).encode()
    return line if kind == 3 else changed(line, random)


def _message(random: Random) -> dict[str, object]:
    message: dict[str, object] = {
        "do": random.choice(["promote", "rollback", "stop"]),
        "model": random.choice(NAMES),
        "version": random.choice(VERSIONS),
    }
    optional = ["force", "shadow_seconds", "shadow_share", "do", "model", "version", "more"]
    for name in random.sample(optional, random.randrange(3)):
        message[name] = random.choice(ODD)
    return message


def fuzz_control(target: Target, inputs: int, seed: int) -> Outcome:
    """`inputs` lines of the seeds from `seed` on, one after the other."""
    outcome = Outcome(PART)
    for number in range(seed, seed + inputs):
        outcome.inputs += 1
        try:
            judge(number, exchange(target, make(number)), outcome)
        except OSError as error:
            outcome.other_failure(f"control line {number}: {error!r}")
        asked = outcome.inputs % INPUTS_BETWEEN_QUESTIONS == 0 or outcome.inputs == inputs
        if asked and (fault := target.fault()) is not None:
            outcome.other_failure(f"after control line {number}: {fault}")
    return outcome


def exchange(target: Target, line: bytes) -> bytes:
    """Everything that comes back for a line.

    Raises:
        OSError: the service does not take it, or neither answers nor hangs up.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        with short_path(target.repository) as path:
            connection.connect(path)
        try:
            connection.sendall(line + b"\n")
            connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has heard enough; what it said may still be there
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
        return answer


def judge(number: int, answer: bytes, outcome: Outcome) -> None:
    """An answer is one line, which says no and why, and that nothing unexpected happened."""
    try:
        told = json.loads(answer)
        refused, why = told["ok"] is False, str(told["error"])
    except (ValueError, KeyError, TypeError):
        outcome.undocumented_answer(f"control line {number}: answered with {answer[:200]!r}")
        return
    if not refused:
        outcome.other_failure(f"control line {number}: it was done: {answer[:200]!r}")
    elif why.startswith("unexpected"):
        outcome.server_error(f"control line {number}: {why[:200]}")
