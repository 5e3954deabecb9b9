"""A process that stands in for `sub50 serve`: answers over HTTP, and ends as a test tells it to.

`python instance.py PORT HOW FOLDER`: at SIGTERM it `drains`; or is `abrupt`, cuts all connections
and leaves a file in the folder; or `fails`, which is to drain and to end with status 3.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from pathlib import Path

DRAIN_SECONDS = 0.6
ANSWER_SECONDS = 0.2
# What is asked before anything is broken, one after the other, says that it has time.
PATIENT = b"x-request-timeout-ms"
LENGTH = re.compile(rb"content-length: (\d+)")
FAILED = 3


class Instance:
    """One service, until a signal."""

    def __init__(self) -> None:
        self.is_stopping = False
        self.under_way = 0
        self.writers: set[asyncio.StreamWriter] = set()

    async def run(self, port: int, how: str, folder: Path) -> int:
        """Serve; returns the exit status."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
        await told.wait()
        self.is_stopping = True
        if how == "abrupt":
            (folder / "left").touch()
            self._cut()
            server.close()
            await asyncio.sleep(DRAIN_SECONDS / 2)
            return 0
        await asyncio.sleep(DRAIN_SECONDS)
        server.close()
        while self.under_way:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        self._cut()
        return FAILED if how == "fails" else 0

    def _cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                status, content = await self._answer(head, body)
                closes = self.is_stopping or b"connection: close" in head
                closing = "Connection: close\r\n" if closes else ""
                lines = f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n{closing}\r\n"
                writer.write(lines.encode() + content)
                if closes:
                    writer.close()
        except (OSError, asyncio.IncompleteReadError):  # the client has gone, or was cut off
            pass
        finally:
            self.writers.discard(writer)

    async def _answer(self, head: bytes, body: bytes) -> tuple[int, bytes]:
        if b" /readyz " in head:
            return (503 if self.is_stopping else 200), b""
        self.under_way += 1
        if PATIENT not in head:
            await asyncio.sleep(ANSWER_SECONDS)
        self.under_way -= 1
        asked = json.loads(body)
        results = [{"characters": len(asked["input"])}]
        return 200, json.dumps({"model": asked["model"], "results": results}).encode()


if __name__ == "__main__":
    sys.exit(asyncio.run(Instance().run(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))))
