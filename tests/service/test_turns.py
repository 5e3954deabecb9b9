"""Requests that run no model: a flood of them waits, and holds up nobody else."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.api.turns import AT_ONCE
from service.lane import Lane
from tests.service.conftest import StartService

MANY = 1000


async def came(lane: Lane, address: str, turns: list[str]) -> None:
    await lane.turn(address)
    turns.append(address)


def test_so_many_at_once_and_then_so_many_a_second() -> None:
    async def run() -> tuple[list[str], float]:
        lane, turns = Lane(100, 5, MANY), []
        waiting = [asyncio.create_task(came(lane, "a", turns)) for _ in range(25)]
        await asyncio.sleep(0)
        at_once = list(turns)
        begun = time.monotonic()
        await asyncio.gather(*waiting)
        return at_once, time.monotonic() - begun

    at_once, seconds = asyncio.run(run())
    assert len(at_once) == 5
    assert 0.19 < seconds < 1


def test_who_sends_many_holds_up_only_himself() -> None:
    async def run() -> list[str]:
        lane, turns = Lane(200, 1, MANY), []
        tasks = [asyncio.create_task(came(lane, "many", turns)) for _ in range(50)]
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(came(lane, one, turns)) for one in ("b", "c", "b")]
        await asyncio.gather(*tasks)
        return turns

    turns = asyncio.run(run())
    assert len(turns) == 53
    assert turns[:6] == ["many", "many", "b", "c", "many", "b"]


def test_who_has_left_is_passed_over_and_none_pile_up() -> None:
    async def run() -> tuple[int, list[str]]:
        lane, turns = Lane(20, 1, 10), []
        tasks = [asyncio.create_task(came(lane, "a", turns)) for _ in range(30)]
        await asyncio.sleep(0.01)
        at_once = len(turns)
        for task in tasks:
            task.cancel()
        await came(lane, "b", turns)
        return at_once, turns

    at_once, turns = asyncio.run(run())
    assert at_once == 20
    assert turns == ["a"] * 20 + ["b"]


@pytest.mark.parametrize(
    ("path", "per_second"), [("/openapi.json", 3), ("/nothing", 3), ("/metrics", 150)]
)
def test_a_model_is_asked_at_once_while_others_wait(
    start_service: StartService, path: str, per_second: float
) -> None:
    service = start_service(pages_per_second=per_second)
    with ThreadPoolExecutor(3) as pool:
        begun = time.monotonic()
        asked = [pool.submit(service.client.get, path) for _ in range(AT_ONCE + 3)]
        for each in asked[:AT_ONCE]:
            each.result()
        assert service.post("/v1/classify", {"input": "good"}).status_code == 200
        assert not all(each.done() for each in asked)
        assert {each.result().status_code for each in asked} <= {200, 404}
        assert time.monotonic() - begun > 0.9
