"""Work that waits for a disk keeps neither the event loop nor the end of the process waiting."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from service import disk
from service.disk import on_disk, told_when_slow

HANGS = """
import asyncio, threading
from service.disk import on_disk

async def main():
    print(await on_disk(divmod, 7, 2), flush=True)
    try:
        await asyncio.wait_for(on_disk(threading.Event().wait), 0.1)
    except TimeoutError:
        print("gave up", flush=True)

asyncio.run(main())
"""


def disk_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "disk"]


def test_results_and_errors_come_back() -> None:
    async def main() -> None:
        assert await on_disk(sorted, [2, 1, 3], reverse=True) == [3, 2, 1]
        with pytest.raises(FileNotFoundError):
            await on_disk(open, "/nothing/here")

    asyncio.run(main())


def test_the_loop_and_its_pool_go_on_while_many_hang() -> None:
    release, begun = threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        begun.release()
        assert release.wait(20)

    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        hung = [asyncio.create_task(on_disk(hang)) for _ in range(disk.MOST_THREADS + 3)]
        await asyncio.sleep(0)
        assert await asyncio.to_thread(begun.acquire, timeout=10)
        at = time.monotonic()
        await asyncio.to_thread(time.sleep, 0)
        assert time.monotonic() - at < 5
        assert not any(task.done() for task in hung)
        release.set()
        await asyncio.wait_for(asyncio.gather(*hung), 10)

    asyncio.run(main())
    assert len(disk_threads()) == disk.MOST_THREADS


def test_threads_are_used_again() -> None:
    async def main() -> None:
        for _ in range(20):
            await on_disk(time.sleep, 0)
            await asyncio.sleep(0.01)

    before = len(disk_threads())
    asyncio.run(main())
    assert len(disk_threads()) <= before + 2


def test_what_was_begun_ends_though_its_caller_was_cancelled() -> None:
    ended = threading.Event()

    async def main() -> None:
        task = asyncio.create_task(on_disk(ended.set))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert ended.wait(5)


def test_a_disk_that_never_answers_does_not_keep_the_process() -> None:
    command = [sys.executable, "-W", "error", "-c", HANGS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(3, 1)\ngave up\n", "")


def test_who_waits_long_for_a_disk_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "sub50.disk"):
        with told_when_slow("the models", 5):
            pass
        assert caplog.text == ""
        with told_when_slow("the models", 0.05):
            deadline = time.monotonic() + 5
            while not caplog.text:
                assert time.monotonic() < deadline
                time.sleep(0.01)
    assert "the models are still being read after 0.05 s: their disk is slow" in caplog.text
