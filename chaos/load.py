"""The load during a trial: an open loop, with every answer checked."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from chaos.connections import Answer, Broken, Connections
from chaos.questions import Question
from loadtest.arrivals import poisson_schedule

# Callers who set no deadline are answered up to 50 ms late, or told that it has passed.
DEADLINE_SECONDS = 0.1
# No answer so long after the deadline is a hang.
PATIENCE_SECONDS = 1.0
PROMISE_SECONDS = 0.05
REFUSALS = (429, 503)
PROBLEM_TYPE = "urn:sub50:problem:"


class Outcome(Enum):
    """What became of a request."""

    RIGHT = "right"
    WRONG = "wrong"
    REFUSED = "refused"
    LATE = "late"
    FAILED = "failed"


@dataclass
class Sent:
    """One request. Times are of `time.monotonic()`; `ended` is None while it is under way."""

    began: float
    ended: float | None = None
    outcome: Outcome | None = None
    status: int = 0
    why: str = ""

    @property
    def in_time(self) -> bool:
        """Answered rightly within the promise."""
        seconds = (self.ended or float("inf")) - self.began
        return self.outcome is Outcome.RIGHT and seconds <= PROMISE_SECONDS

    def end(self, outcome: Outcome, status: int = 0, why: str = "") -> None:
        """Note how it ended, now."""
        self.ended = time.monotonic()
        self.outcome, self.status, self.why = outcome, status, why


class Load:
    """Sends `questions` in turn at the times of a Poisson process, whatever becomes of them.

    `connections` gives those that the next request goes over: a client's own, or a balancer's
    choice; Broken where there is none. One that is not answered `patience_seconds` after its
    deadline has failed.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        connections: Callable[[], Connections],
        rate_per_second: float,
        seed: int = 1,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.sent: list[Sent] = []
        self._questions = questions
        self._connections = connections
        self._rate = rate_per_second
        self._seed = seed
        self._patience_seconds = patience_seconds
        self._stopped = False

    def stop(self) -> None:
        """Send no more; `run` returns once the last answers have come."""
        self._stopped = True

    @property
    def under_way(self) -> list[Sent]:
        """Requests that have no answer yet."""
        return [each for each in self.sent if each.ended is None]

    async def run(self, seconds: float) -> None:
        """Send for so long, and wait for the last answers."""
        schedule = poisson_schedule(self._rate, seconds, self._seed)
        origin = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number, due_us in enumerate(schedule.tolist()):
                await asyncio.sleep(max(0.0, origin + due_us / 1e6 - time.monotonic()))
                if self._stopped:
                    break
                question = self._questions[number % len(self._questions)]
                sent = Sent(time.monotonic())
                self.sent.append(sent)
                tasks.create_task(self._send(question, sent))

    async def _send(self, question: Question, sent: Sent) -> None:
        try:
            async with asyncio.timeout(DEADLINE_SECONDS + self._patience_seconds):
                answer = await self._connections().exchange(question.request)
        except TimeoutError:
            sent.end(Outcome.FAILED, why="no answer in time")
        except Broken as error:
            sent.end(Outcome.FAILED, why=str(error))
        else:
            outcome = judge(question, answer)
            sent.end(outcome, answer.status, why_of(outcome, answer))


def judge(question: Question, answer: Answer) -> Outcome:
    """What an answer is worth."""
    if answer.status == 200:
        return Outcome.RIGHT if question.is_right(answer.content) else Outcome.WRONG
    if not is_problem(answer):
        return Outcome.FAILED
    if answer.status == 504:
        return Outcome.LATE
    return Outcome.REFUSED if answer.status in REFUSALS else Outcome.FAILED


def is_problem(answer: Answer) -> bool:
    """Whether it is a problem as the service documents them, of that status."""
    if answer.headers.get("content-type") != "application/problem+json":
        return False
    try:
        body = json.loads(answer.content)
        return bool(body["status"] == answer.status and body["type"].startswith(PROBLEM_TYPE))
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def why_of(outcome: Outcome, answer: Answer) -> str:
    """For people; empty for a right answer."""
    if outcome is Outcome.RIGHT:
        return ""
    if is_problem(answer):
        body = json.loads(answer.content)
        return f"{answer.status}: {body.get('detail')}"  # without what differs each time
    return f"{answer.status}: {answer.content[:200].decode(errors='replace')}"
