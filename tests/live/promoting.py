"""A service with one engine that other versions take over from, and a load meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.processes import running_below
from chaos.stack import STUB
from core.versions import read_served
from tests.background import SteadyLoad
from tests.deploy.running import free_port
from tests.live.test_stack import ROOT, SUB50, Stack

BUILT = ROOT / "model_repository" / "sentiment"
RATE = 50
TEXTS = [
    "A gripping story, and not a minute too long.",
    "Dull, and far too long. A waste of time.",
    "The acting is superb, although the last half hour could have lost a few of its scenes.",
    "I want my money back.",
]


def start(repository: Path, **variables: str) -> Stack:
    """`sub50 serve` with that repository, and these environment variables."""
    running = Stack(free_port(), "--repository", str(repository), **variables)
    running.wait_until_ready()
    return running


def engines(*arguments: str, repository: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [SUB50, "engines", *arguments, "--json", "--repository", str(repository)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
    )


def result_of(command: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = command.communicate(timeout=120)
    assert command.returncode == 0, errors
    found: dict[str, Any] = json.loads(output)
    return found


def until(reached: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def serves(repository: Path) -> str:
    state = read_served(repository / "sentiment")
    return state.version if state else "1"


def stubs(stack: Stack) -> set[int]:
    """Processes that run engines; Triton starts each through a shell of its own."""
    return running_below(stack.process.pid, STUB)


@dataclass(frozen=True)
class Answered:
    sent: float
    status: int
    version: str
    text: int
    score: float


class Load(SteadyLoad):
    """Requests at a steady rate, whether or not earlier ones were answered."""

    def __init__(self, url: str, texts: Sequence[str] = TEXTS) -> None:
        super().__init__(RATE)
        self.url = url
        self.texts = texts
        self.answers: list[Answered] = []

    def _ask(self, number: int) -> None:
        text = number % len(self.texts)
        sent = time.monotonic()
        try:
            answer = classify(self.url, self.texts[text])
        except urllib.error.HTTPError as error:
            self.answers.append(Answered(sent, error.code, "", text, 0.0))
            error.close()
        except OSError:
            self.answers.append(Answered(sent, 0, "", text, 0.0))
        else:
            score = positive(answer)
            self.answers.append(Answered(sent, 200, answer["version"], text, score))


def classify(url: str, text: str) -> dict[str, Any]:
    body, headers = json.dumps({"input": text}).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/classify", body, headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def positive(answer: dict[str, Any]) -> float:
    (score,) = [s["score"] for s in answer["results"][0]["scores"] if s["label"] == "positive"]
    return float(score)
