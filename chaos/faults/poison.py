"""Requests that are as bad as can be: the answers of others stay right."""

from __future__ import annotations

import http.client
import json
import time
from itertools import cycle

from chaos.errors import ChaosError
from chaos.fault import Fault
from chaos.stack import HOST, Stack

SECONDS = 8.0
EVERY_SECONDS = 0.05
TIMEOUT_SECONDS = 30.0


def bodies() -> list[bytes]:
    """Long, strange and broken ones. None is as large as to take a second of the machine."""
    texts = [
        "\0" * 300,
        "\u202e\u200b\u0301" * 200,
        "😀" * 300,
        "A" * 20_000,
        " " * 50_000,
        "ﷺ" * 200,
        "a" + "\u0300" * 900,
        "\ud7ff\ue000\uffff" * 100,
        "",
        "[CLS] [SEP] [PAD] [MASK] [UNK]" * 30,
    ]
    sound = [json.dumps({"input": text}).encode() for text in texts]
    broken = [
        b"",
        b"\xff\xfe",
        b'{"input": "\\ud800"}',
        b'{"input": ' + b"[" * 5_000,
        b'{"input": NaN}',
        b'{"input": [' + b'"x",' * 400 + b'"x"]}',
        b'{"input": {"a": 1}, "model": ["sentiment"]}',
        b'{"input": "x", "top_k": -1e400}',
    ]
    return sound + broken


class Poison(Fault):
    """A client that sends strange and broken requests, twenty a second."""

    name = "poison"

    def strike(self, stack: Stack) -> None:
        """Send them for some seconds.

        Raises:
            ChaosError: one was answered with 500, or not at all.
        """
        end = time.monotonic() + SECONDS
        for body in cycle(bodies()):
            if time.monotonic() > end:
                return
            status = status_of(stack.port, body)
            if status == http.client.INTERNAL_SERVER_ERROR:
                raise ChaosError(f"500 for the body {body[:80]!r}")
            time.sleep(EVERY_SECONDS)


def status_of(port: int, body: bytes) -> int:
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("POST", "/v1/classify", body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise ChaosError(f"no answer to the body {body[:80]!r}: {error!r}") from error
    finally:
        connection.close()


FAULTS = (Poison(),)
