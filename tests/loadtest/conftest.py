"""Stub servers as processes, so that the generator's time is its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
StartStub = Callable[..., str]


@pytest.fixture
def start_stub() -> Iterator[StartStub]:
    """`start_stub(delay_ms=20)`: the URL of a stub with these options."""
    started: list[subprocess.Popen[str]] = []

    def start(**options: Any) -> str:
        command = [sys.executable, "-m", "tests.loadtest.stub_server", json.dumps(options)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return f"http://127.0.0.1:{int(process.stdout.readline())}"

    yield start
    for process in started:
        process.kill()
        process.communicate()
