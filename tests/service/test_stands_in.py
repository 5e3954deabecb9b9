"""A model whose GPU is gone while the service runs: what is known of it is of the processor."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from service.cost import seed_line
from service.metrics import Metrics
from service.models import ModelCatalog
from service.pipeline import Pipeline
from service.pulse import Pulse
from service.settings import Settings
from tests.service.hanging import Engine
from tests.tiny import card, write_model
from tests.tiny_models import tuned

NAME = "sentiment"
GPU = tuned("model.fp16.onnx", "4" * 64).model_copy(
    update={"precision": "FP16", "instances": 2, "line_overhead_ms": 0.5}
)


def test_it_is_shown_and_predicted_as_the_engine_that_answers(tmp_path: Path) -> None:
    async def main() -> None:
        write_model(tmp_path, card(NAME, precision="FP16", tuning=GPU))
        models, metrics = ModelCatalog.load(tmp_path), Metrics(CollectorRegistry())
        (model,) = models.all()
        metrics.serve_engine(model.engine_info)
        settings = Settings(port=0, repository=tmp_path)
        pipeline = Pipeline(models, Pulse(Engine()), metrics, settings, {NAME: 2})
        assert pipeline.scheduler.part_tokens(NAME, 400) == 200  # two instances

        pipeline.stand_in(model)

        assert model.stands_in
        assert pipeline.scheduler.part_tokens(NAME, 400) == 400
        expected_ms = seed_line(card(NAME)).ms(100)
        assert pipeline.predicted_seconds(NAME, 100) == pytest.approx(expected_ms / 1000)
        assert metrics.registry.get_sample_value("sub50_engine_stands_in", {"model": NAME}) == 1
        (info,) = metrics.engine_info.collect()[0].samples
        assert info.labels["precision"] == "INT8"

    asyncio.run(main())


def test_where_lanes_are_set_they_stay_as_they_are(tmp_path: Path) -> None:
    async def main() -> None:
        write_model(tmp_path, card(NAME, tuning=GPU))
        models = ModelCatalog.load(tmp_path)
        settings = Settings(port=0, repository=tmp_path, engine_lanes=4)
        metrics = Metrics(CollectorRegistry())
        pipeline = Pipeline(models, Pulse(Engine()), metrics, settings, {NAME: 2})
        pipeline.stand_in(models.named(NAME))
        assert pipeline.scheduler.part_tokens(NAME, 800) == 200

    asyncio.run(main())
