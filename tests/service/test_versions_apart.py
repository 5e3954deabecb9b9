"""Rows of two versions of a model never share a call, and a failure is told to who watches."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from service.cost import CostLine, Line
from service.errors import BackendError, DeadlineExceeded
from service.jobs import Job
from service.metrics import Metrics
from service.scheduler import Scheduler


class Engine:
    """Answers with the version that was asked; keeps every call's version and rows."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.failures: dict[str, Exception] = {}

    async def infer(self, model: str, ids: Any, mask: Any, *, version: str, **_: Any) -> Any:
        self.calls.append((version, len(ids)))
        await asyncio.sleep(0.005)
        if version in self.failures:
            raise self.failures[version]
        return np.full((len(ids), 1), float(version), dtype=np.float32)


def make(engine: Engine) -> Scheduler:
    lines = {"a": CostLine(Line(5.0, 0.01))}
    return Scheduler(
        engine, lines, Metrics(CollectorRegistry()), shares={"a": 1.0}, call_tokens=256
    )


def job(version: str, bulk: bool = False) -> Job:
    return Job(
        model="a",
        version=version,
        rows=[[7] * 5],
        deadline=time.monotonic() + 5,
        bulk=bulk,
        answer=asyncio.get_running_loop().create_future(),
    )


def test_each_job_is_answered_by_its_own_version() -> None:
    async def main() -> None:
        engine = Engine()
        scheduler = make(engine)
        versions = ["1"] * 7 + ["2"] * 5 + ["1"] * 2 + ["2"]
        jobs = [job(version) for version in versions]
        answers = await asyncio.gather(*map(scheduler.run, jobs))
        assert [str(int(answer[0, 0])) for answer in answers] == versions
        assert sum(rows for _, rows in engine.calls) == len(versions)
        assert ("2", 5) in engine.calls, "those of one version still travel together"
        assert scheduler.backlog.empty

    asyncio.run(main())


def test_only_a_failure_of_the_watched_version_is_told() -> None:
    async def main() -> None:
        engine = Engine()
        engine.failures = {"1": BackendError("old"), "2": DeadlineExceeded("late")}
        scheduler = make(engine)
        watch = asyncio.get_running_loop().create_future()
        scheduler.watches["a", "2"] = watch
        await asyncio.gather(*(scheduler.run(job(v)) for v in "12"), return_exceptions=True)
        assert not watch.done()
        engine.failures["2"] = BackendError("broke")
        for _ in range(2):
            with pytest.raises(BackendError):
                await scheduler.run(job("2"))
        assert str(watch.result()) == "broke"

    asyncio.run(main())
