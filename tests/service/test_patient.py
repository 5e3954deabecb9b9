"""A stream that nobody reads, or whose disk is full, holds up neither serving nor the end."""

from __future__ import annotations

import errno
import fcntl
import io
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from service.logs import LineWriter, formatter_of
from service.patient import PIECE_BYTES, write_patiently
from tests.deploy.running import answers, free_port, wait_for
from tests.service.conftest import write_repository

SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ
PAGE = 4096


@pytest.fixture
def full_pipe() -> tuple[int, int]:
    """A pipe's reading and writing end, with no room for one byte more."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, SET_PIPE_SIZE, PAGE)
    fill(writing)
    return reading, writing


def fill(writing: int) -> None:
    # Opened anew: whether writing waits belongs to the open file, which a child shares.
    again = os.open(f"/proc/self/fd/{writing}", os.O_WRONLY | os.O_NONBLOCK)
    try:
        while True:
            os.write(again, b".")
    except BlockingIOError:
        pass
    finally:
        os.close(again)


def test_a_text_longer_than_the_pipe_arrives_whole() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, SET_PIPE_SIZE, PAGE)
    text = "ein größeres Wort \udc00 " * 2000
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.extend(iter(lambda: os.read(reading, 999), b"")))
    reader.start()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        assert len(text) > 5 * PIECE_BYTES
        assert write_patiently(stream, text, lambda: True)
    reader.join(10)
    os.close(reading)
    assert b"".join(read).decode() == text.replace("\udc00", "\\udc00")


def test_who_is_no_longer_patient_gives_up(full_pipe: tuple[int, int]) -> None:
    reading, writing = full_pipe
    until = time.monotonic() + 0.2
    with os.fdopen(writing, "w") as stream:
        assert not write_patiently(stream, "x" * 10, lambda: time.monotonic() < until)
    assert os.read(reading, PAGE) == b"." * PAGE
    os.close(reading)


def test_a_full_disk_is_an_error_and_memory_is_not() -> None:
    with Path("/dev/full").open("w") as stream, pytest.raises(OSError) as raised:
        write_patiently(stream, "x", lambda: True)
    assert raised.value.errno == errno.ENOSPC
    memory = io.StringIO()
    assert write_patiently(memory, "x\n", lambda: False)
    assert memory.getvalue() == "x\n"


def test_lines_that_a_full_disk_did_not_take_are_counted_once_it_does(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    path = tmp_path / "log"
    with os.fdopen(os.dup(full), "w") as stream:
        writer = LineWriter(stream)
        writer.setFormatter(formatter_of("text"))
        for number in range(3):
            writer.handle(line(f"lost {number}"))
        wait_for(lambda: writer._lost == 3, 10, lambda: str(writer._lost))
        with path.open("w") as room:  # the same descriptor now leads to where there is room
            os.dup2(room.fileno(), stream.fileno())
        writer.handle(line("kept"))
        writer.close()
    os.close(full)
    kept, told = path.read_text().splitlines()
    assert kept.endswith("kept")
    assert "3 log lines were lost" in told


def line(message: str) -> logging.LogRecord:
    return logging.LogRecord("x", logging.INFO, "", 0, message, (), None)


def test_closing_takes_bounded_time_where_nobody_reads(full_pipe: tuple[int, int]) -> None:
    reading, writing = full_pipe
    with os.fdopen(writing, "w") as stream:
        writer = LineWriter(stream, most_waiting=10)
        writer.setFormatter(formatter_of("text"))
        for number in range(30):
            writer.handle(line(f"number {number}"))
        begun = time.monotonic()
        writer.close()
        assert time.monotonic() - begun < 6
        assert not writer._thread.is_alive(), "it would hold the stream's lock at the end"
    os.close(reading)


def test_a_service_whose_stderr_nobody_reads_answers_and_ends(
    tmp_path: Path, full_pipe: tuple[int, int]
) -> None:
    write_repository(tmp_path)
    reading, writing = full_pipe
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    service = subprocess.Popen(
        [
            *(sys.executable, "-c", "from service.cli import app; app()", "api"),
            *("--port", str(port), "--triton", f"127.0.0.1:{free_port()}"),
            *("--repository", str(tmp_path)),
        ],
        stdout=writing,
        stderr=writing,
        env=os.environ | {"SUB50_TRITON_START_SECONDS": "inf"},
    )
    os.close(writing)
    try:
        wait_for(lambda: answers(f"{url}/livez"), 30, lambda: str(service.poll()))
        for _ in range(100):  # each is logged
            body, headers = b'{"input": "A film."}', {"Content-Type": "application/json"}
            request = urllib.request.Request(f"{url}/v1/classify", body, headers)
            with pytest.raises(urllib.error.HTTPError) as failed:
                urllib.request.urlopen(request, timeout=5)
            failed.value.close()
            assert failed.value.code == 503
        service.send_signal(signal.SIGTERM)
        assert service.wait(15) == 0
    finally:
        service.kill()
        service.wait()
        os.close(reading)
