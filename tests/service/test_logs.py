"""Log lines: what stands in them, what never does, and that they hold nobody up."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from core.tokenizer import TextTokenizer
from service.logs import LineWriter, LogFormat, formatter_of, log_lines
from tests.service.conftest import Service, StartService

SECRET = "Zyzzyva Quixotry Mercator"
KEY = "k-hunter2-do-not-tell"
# A connection of its own for each, because one on which a request failed is closed.
ALLOWED = {"Authorization": f"Bearer {KEY}", "Connection": "close"}
QUEUE_FULL = (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")


@contextmanager
def lines(style: LogFormat = "json", level: str = "debug") -> Iterator[Callable[[], str]]:
    """What is logged while the block runs; the function waits until it is written."""
    stream = io.StringIO()
    for client in ("httpcore2", "httpx2"):  # runs in this process too, and tells what it sends
        logging.getLogger(client).setLevel(logging.ERROR)

    def written() -> str:
        before = None
        while before != (before := stream.getvalue()):
            time.sleep(0.1)
        return before or ""

    with log_lines(style, level, stream):
        yield written


def requests_in(text: str) -> list[dict[str, Any]]:
    parsed = [json.loads(line) for line in text.splitlines()]
    return [line for line in parsed if line["logger"] == "sub50.request"]


def test_a_request_is_one_line_of_json(start_service: StartService) -> None:
    service = start_service(log_requests="all")
    with lines() as written:
        response = service.post(
            "/v1/classify", {"input": "a good film"}, headers={"X-Request-ID": "shop-17/a"}
        )
        [line] = requests_in(written())
    assert response.status_code == 200
    age = datetime.now(UTC) - datetime.fromisoformat(line.pop("time"))
    assert abs(age.total_seconds()) < 60
    stages = line.pop("stages_ms")
    assert set(stages) == {"admit", "tokenize", "infer", "postprocess"}
    duration_ms = line.pop("duration_ms")
    assert sum(stages.values()) <= duration_ms
    assert line.pop("message").startswith("POST /v1/classify 200 in ")
    assert line == {
        "level": "INFO",
        "logger": "sub50.request",
        "request_id": "shop-17/a",
        "method": "POST",
        "route": "/v1/classify",
        "status": 200,
        "model": "sentiment",
        "class": "interactive",
        "tokens": 5,
    }


def test_a_refusal_says_why(start_service: StartService) -> None:
    service = start_service(log_requests="all")
    service.triton.failure = QUEUE_FULL
    with lines() as written:
        service.post("/v1/classify", {"input": "a good film"})
        service.post("/hf/nope", {"inputs": "good"})
        refused, unknown = requests_in(written())
    assert (refused["status"], refused["problem"]) == (429, "queue-full")
    assert refused["reason"] == "queue"
    assert (unknown["route"], unknown["problem"]) == ("/hf/{model}", "unknown-model")


@pytest.mark.parametrize(
    ("which", "statuses"),
    [("all", [200, 422, 503]), ("slow_and_failed", [503]), ("none", [])],
)
def test_which_requests_are_logged(
    which: str, statuses: list[int], start_service: StartService
) -> None:
    service = start_service(log_requests=which)
    with lines() as written:
        ask_in_three_ways(service)
        assert [line["status"] for line in requests_in(written())] == statuses


def ask_in_three_ways(service: Service) -> None:
    service.post("/v1/classify", {"input": "good"})
    service.post("/v1/classify", {"input": ""})
    service.triton.failure = (grpc.StatusCode.INTERNAL, "broke")
    service.post("/v1/classify", {"input": "good"})


def test_an_answer_later_than_promised_is_a_warning(start_service: StartService) -> None:
    service = start_service(interactive_timeout_ms=300, margin_ms=0)
    service.triton.delay_seconds = 0.25
    with lines() as written:
        while not (late := requests_in(written())):
            status = service.post("/v1/classify", {"input": "good"}).status_code
            assert status in (200, 429, 504)
            service.triton.delay_seconds += 0.01
    assert late[0]["level"] == "WARNING"
    assert late[0]["duration_ms"] > 300 or late[0]["status"] == 504


def broken(*arguments: Any, **_: Any) -> Any:
    raise ValueError(f"cannot cope with {arguments}")


@pytest.mark.parametrize("style", ["json", "text"])
def test_no_line_holds_a_text_or_a_key(
    style: LogFormat, start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"max_body_bytes": 4000, "max_text_bytes": 2000}
    service = start_service(log_requests="all", api_keys=[KEY], **limits)
    with lines(style) as written:
        seen = ask_in_every_way(service)
        monkeypatch.setattr("service.pipeline.classifications", broken)
        monkeypatch.setattr("service.pipeline.summary_of", broken)
        seen |= ask_every_route(service)
        monkeypatch.setattr(TextTokenizer, "encode", broken)
        seen |= ask_every_route(service)
        text = written()
    assert seen >= {200, 400, 401, 404, 413, 422, 429, 500, 503, 504}
    assert text.count("ValueError at:") == 8
    assert "Exception in ASGI" not in text
    for word in (*SECRET.split(), *SECRET.lower().split(), KEY):
        assert word not in text


def ask_every_route(service: Service, headers: dict[str, str] = ALLOWED) -> set[int]:
    bodies = {
        "/v1/classify": {"input": SECRET},
        "/v1/summarize": {"input": f"{SECRET}. {SECRET}."},
        "/predict": {"inputs": SECRET},
        "/hf/sentiment": {"inputs": SECRET},
    }
    return {service.post(*asked, headers=headers).status_code for asked in bodies.items()}


def ask_in_every_way(service: Service) -> set[int]:
    def status(content: Any, route: str = "/v1/classify", **headers: str) -> int:
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        return service.client.post(route, content=content, headers=ALLOWED | headers).status_code

    seen = ask_every_route(service) | ask_every_route(
        service, ALLOWED | {"Authorization": f"Bearer x{KEY}"}
    )
    seen |= {
        status(SECRET.encode()),
        status({"input": [5, SECRET], SECRET: SECRET}),
        status({"input": SECRET, "model": SECRET}),
        status({"input": SECRET}, f"/hf/{SECRET}"),
        status({"input": SECRET}, f"/{SECRET}"),
        status({"input": SECRET * 100}),
        status({"input": SECRET * 1000}),
        status({"input": SECRET, "top_k": SECRET}),
        status({"inputs": SECRET, "parameters": {"top_k": SECRET}}, "/hf/sentiment"),
        status({"input": SECRET}, **{"X-Request-Timeout-Ms": SECRET}),
        status({"input": SECRET}, **{"X-Request-Timeout-Ms": "0.000001"}),
        status({"input": SECRET}, **{"X-Request-ID": SECRET}),
    }
    for failure in (QUEUE_FULL, (grpc.StatusCode.INTERNAL, f"cannot run {SECRET}")):
        service.triton.failure = failure
        seen |= ask_every_route(service)
    service.triton.failure = None
    return seen


def test_a_fault_of_ours_is_logged_with_its_place(
    start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start_service()
    monkeypatch.setattr(TextTokenizer, "encode", broken)
    with lines() as written:
        assert service.post("/v1/classify", {"input": "good"}).status_code == 500
        logged = [json.loads(line) for line in written().splitlines()]
    [request] = [line for line in logged if line["logger"] == "sub50.request"]
    assert (request["level"], request["status"]) == ("ERROR", 500)
    [fault] = [line for line in logged if line["logger"] == "sub50.app"]
    assert "in broken" in fault["message"]


def test_a_strange_request_id_cannot_write_lines_of_its_own(start_service: StartService) -> None:
    service = start_service(log_requests="all")
    with lines("text", "info") as written:
        headers = [(b"X-Request-ID", b"a\xe2\x80\xa8\x85INFO all is well")]
        service.client.post("/v1/classify", content=b'{"input": "good"}', headers=headers)
        text = written()
    assert "all is well" not in text
    assert text.count("\n") == 1


def test_an_exception_and_an_odd_record_are_still_json() -> None:
    with lines() as written:
        try:
            raise OSError("the disk is\nfull")
        except OSError:
            logging.getLogger("sub50.control").exception("of %s", "us")
        odd = logging.LogRecord("x", logging.INFO, "", 0, "%d", ("no number",), None)
        logging.getLogger().handlers[-1].handle(odd)
        text = written()
    first = json.loads(text.splitlines()[0])
    assert first["message"] == "of us"
    assert "the disk is\nfull" in first["exception"]
    assert "could not be formatted" in text


def test_a_pipe_that_nobody_reads_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        writer = LineWriter(stream, most_waiting=100)
        writer.setFormatter(formatter_of("text"))
        record = logging.LogRecord("x", logging.INFO, "", 0, "y" * 5000, (), None)
        begun = time.monotonic()
        for _ in range(1000):
            writer.handle(record)
        assert time.monotonic() - begun < 5
        read: list[bytes] = []
        reader = threading.Thread(
            target=lambda: read.extend(iter(lambda: os.read(reading, 65536), b""))
        )
        reader.start()
        time.sleep(0.2)
        writer.handle(record)
        writer.close()
    reader.join(10)
    os.close(reading)
    text = b"".join(read).decode()
    assert "log lines were lost" in text
    assert text.count("y" * 5000) < 1000


def test_a_start_that_fails_is_told_in_json_too(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from service.cli import app; app()"]
    failed = subprocess.run(
        [*command, "api", "--triton", "127.0.0.1:1", "--port", "0", "--repository", tmp_path],
        env=os.environ | {"SUB50_LOG_FORMAT": "json"},
        capture_output=True,
        text=True,
    )
    assert failed.returncode == 1
    [line] = [json.loads(line) for line in failed.stderr.splitlines()]
    assert (line["level"], line["logger"]) == ("CRITICAL", "sub50.run")
    assert str(tmp_path) in line["message"]
