"""The worst requests: none is a 500, and a 500 would be told of."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from chaos.errors import ChaosError
from chaos.faults.poison import Poison, bodies, status_of
from chaos.stack import Stack
from tests.service.conftest import Service


def test_every_poison_is_answered_and_none_with_500(service: Service) -> None:
    port = urlsplit(service.url).port
    assert port is not None
    statuses = [status_of(port, body) for body in bodies()]
    assert set(statuses) <= {200, 400, 413, 422}
    assert statuses.count(200) >= 8
    assert statuses.count(200) < len(statuses)


class Broken(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(500)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def broken_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_a_500_ends_the_trial(broken_port: int, tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    stack.port = broken_port
    with pytest.raises(ChaosError, match="500"):
        Poison().strike(stack)
