"""A backend whose calls hang, fail and answer as a test tells, and models to ask it for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np

from core.tokenizer import TextTokenizer
from service.models import ServedModel
from tests.tiny import card, write_tokenizer


def served_model(folder: Path, name: str = "sentiment", **changes: Any) -> ServedModel:
    """A model with a real tokenizer."""
    path = folder / "tokenizer.json"
    if not path.exists():
        write_tokenizer(path)
    return ServedModel(card(name, **changes), TextTokenizer(path, 512))


class Engine:
    """Answers each call after `delay_seconds`; `lanes` at a time, in the order they were asked.

    Attributes:
        hangs: models whose calls are never answered.
        stuck: how many of the next calls are never answered.
        failures: by model, what its calls fail with at once.
        asked: calls that came.
        cancelled: calls that were taken back.
    """

    def __init__(self, lanes: int = 1, delay_seconds: float = 0.0) -> None:
        self.delay_seconds = delay_seconds
        self.hangs: set[str] = set()
        self.stuck = 0
        self.failures: dict[str, Exception] = {}
        self.asked = 0
        self.cancelled = 0
        self.closed = False
        self._lanes = asyncio.Semaphore(lanes)

    async def infer(self, model: str, ids: Any, mask: Any, **_: Any) -> Any:
        self.asked += 1
        try:
            if model in self.hangs or self.stuck:
                self.stuck = max(0, self.stuck - 1)
                await asyncio.Event().wait()
            if model in self.failures:
                raise self.failures[model]
            async with self._lanes:
                await asyncio.sleep(self.delay_seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return np.ones((len(ids), 2), dtype=np.float32)

    async def live(self) -> bool:
        return not self.hangs

    async def close(self) -> None:
        self.closed = True
