"""Servers that do not answer as they should: the work goes on, and one line says why."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest

from engines import tracking_store
from engines.errors import EngineError
from engines.tracking import tracked
from engines.tracking_store import Store, in_time, is_installed, reason_of, tracking_uri

needs_mlflow = pytest.mark.skipif(
    not is_installed(), reason="MLflow is not installed; run `make setup-train`"
)
Answer = Callable[[BaseHTTPRequestHandler, Event], None]


def answers(status: int, body: bytes) -> Answer:
    """Always the same."""

    def answer(request: BaseHTTPRequestHandler, ended: Event) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def silence(request: BaseHTTPRequestHandler, ended: Event) -> None:
    """Take the request, and never answer."""
    ended.wait(60)


def trickle(request: BaseHTTPRequestHandler, ended: Event) -> None:
    """A byte every now and then, so that no timeout of a read ever comes."""
    request.send_response(200)
    request.send_header("Content-Length", "100000")
    request.end_headers()
    while not ended.wait(0.05):
        request.wfile.write(b" ")


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """The address of a server that answers so."""
    ended = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                answer(self, ended)
            except ConnectionError:  # the client has gone
                self.close_connection = True

        do_POST = do_GET  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


def told_by_a_run(address: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The only line that a whole run tells."""
    with tracked("finetune", "mood", {"rank": 1}, {"a": "b"}, address) as run:
        run.metric("accuracy", 0.5)
        run.child("trial 0", {}).end()
        run.register("mood", adapter_sha256="1")
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith(f"not tracked in {address}: ")
    assert line.endswith("; the work goes on")
    return line


@needs_mlflow
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answers(500, b"oops"), "too many 500 error responses"),
        (answers(401, b"Who are you?"), "Who are you?"),
        (answers(200, b"<html>Log in</html>"), "not in a valid JSON format"),
    ],
)
def test_a_wrong_answer_costs_a_line_that_says_which(
    answer: Answer, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(answer) as address:
        assert reason in told_by_a_run(address, capsys)


@needs_mlflow
@pytest.mark.parametrize("answer", [silence, trickle])
def test_a_server_that_never_ends_its_answer_is_waited_for_once(
    answer: Answer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_store, "PATIENCE_SECONDS", 0.5)
    with serving(answer) as address:
        begun = time.monotonic()
        assert "no answer within 0.5 s" in told_by_a_run(address, capsys)
        assert time.monotonic() - begun < 30


def test_a_slow_server_is_given_up_once_it_took_its_share(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking_store, "SPENT_SECONDS", 1.0)
    monkeypatch.setattr(tracking_store, "is_installed", lambda: True)
    monkeypatch.setattr(Store, "_connected", lambda self: object())
    store = Store("http://127.0.0.1:9")
    asked = 0

    def act(client: object) -> None:
        nonlocal asked
        asked += 1
        time.sleep(0.1)

    for _ in range(40):
        store.attempt(act)
    assert 1 < asked < 20
    assert not store.is_open
    assert "it is slow: " in capsys.readouterr().err


def test_what_a_step_returns_or_raises_comes_through() -> None:
    assert in_time(lambda: 7, 5) == 7
    with pytest.raises(KeyError, match="gone"):
        in_time(lambda: {}["gone"], 5)
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        in_time(lambda: time.sleep(0.5), 0.05)


def test_the_reason_is_the_first_one_in_a_chain() -> None:
    inner = OSError("outer words")
    inner.reason = ConnectionRefusedError("refused")  # type: ignore[attr-defined]
    outer = ValueError("API request failed")
    outer.__cause__ = RuntimeError(inner)
    assert reason_of(outer) == "refused"
    assert reason_of(ValueError("plain")) == "plain"
    assert reason_of(KeyError()) == "KeyError"


def test_a_password_in_the_address_is_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking_store, "is_installed", lambda: True)
    store = Store("http://me:secret@127.0.0.1:9")

    def act(client: object) -> None:
        raise ConnectionError("cannot reach http://me:secret@127.0.0.1:9/api")

    monkeypatch.setattr(Store, "_connected", lambda self: object())
    store.attempt(act)
    said = capsys.readouterr().err
    assert "http://me:…@127.0.0.1:9/api" in said
    assert "secret" not in said
    with pytest.raises(EngineError, match="me:…@host") as caught:
        tracking_uri("ftp://me:secret@host")
    assert "secret" not in str(caught.value)
