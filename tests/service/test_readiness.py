"""Whether Triton lives is seen by its models' answers, and asked of itself only without any."""

from __future__ import annotations

import asyncio
from pathlib import Path

from prometheus_client import CollectorRegistry

from service.errors import BackendUnavailable
from service.metrics import Metrics
from service.readiness import ReadinessProbe
from tests.service.hanging import Engine, served_model


class Loading(Engine):
    """Loads a model: its others answer, and it does not say whether it lives."""

    changes = 0

    async def live(self) -> bool:
        await asyncio.Event().wait()
        raise AssertionError


def test_a_triton_that_loads_a_model_is_there(tmp_path: Path) -> None:
    metrics = Metrics(CollectorRegistry())

    def up() -> float | None:
        return metrics.registry.get_sample_value("sub50_triton_up")

    async def main() -> None:
        models, engine = [served_model(tmp_path), served_model(tmp_path, "topics")], Loading()
        probe = ReadinessProbe(lambda: models, engine, metrics, keep_seconds=0)
        readiness = await probe.check()
        assert (readiness.ready, readiness.live, up()) == (True, True, 1)
        engine.failures["topics"] = BackendUnavailable("gone")
        readiness = await probe.check()
        assert (readiness.faults, readiness.live, up()) == ({"topics": "gone"}, True, 1)
        engine.failures["sentiment"] = BackendUnavailable("gone too")
        readiness = await probe.check()
        assert (len(readiness.faults), readiness.live, up()) == (2, False, 0)

    asyncio.run(asyncio.wait_for(main(), 10))
