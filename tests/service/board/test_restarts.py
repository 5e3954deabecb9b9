"""The board tells of a Triton that is away, and of one that was started anew."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from service import app, keeper
from service.board import history
from service.metrics import Metrics
from service.pulse import Pulse
from tests.service.board.conftest import Browser
from tests.service.board.contrast import poor_contrasts
from tests.service.conftest import StartService


@pytest.fixture(autouse=True)
def _quick_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "SAMPLE_SECONDS", 0.5)


def test_a_triton_that_was_started_anew_is_said_so(
    browser: Browser, start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Metrics] = []

    def note(registry: CollectorRegistry) -> Metrics:
        made.append(Metrics(registry))
        return made[-1]

    monkeypatch.setattr(app, "Metrics", note)
    browser.open(start_service().url)
    browser.until(lambda: "Running since" in browser.find("#state").text)
    assert not browser.find("#restarts").is_displayed()  # it is not this service's own
    restarts = made[0].triton_restarts
    for reason in keeper.REASONS:
        restarts.labels(reason)
    browser.until(lambda: "has not been started anew" in browser.find("#restarts").text)
    restarts.labels("hung").inc()
    browser.until(lambda: "Triton started anew" in browser.find("#state").text)
    once = browser.find("#restarts").text
    assert "anew once since the service started" in once
    assert once.endswith(": it hung.")
    restarts.labels("triton_died").inc(2)
    browser.until(lambda: "anew 3 times" in browser.find("#restarts").text)
    told = browser.find("#restarts").text
    assert told.endswith(": it ended. In all: it ended (2), it hung (1).")
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        assert poor_contrasts(browser.driver)[1] == []


def test_why_triton_is_away_is_said(
    browser: Browser, start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[Pulse, asyncio.AbstractEventLoop]] = []
    pulse_of = app.pulse_of

    def note(*given: Any) -> Pulse:
        made.append((pulse_of(*given), asyncio.get_running_loop()))
        return made[-1][0]

    monkeypatch.setattr(app, "pulse_of", note)
    browser.open(start_service(readiness_seconds=0.05).url)
    browser.until(lambda: "4 of 4 models answer" in browser.find("#state").text)
    ((pulse, loop),) = made
    away = "Triton was ended by SIGKILL; it is being started again"
    loop.call_soon_threadsafe(pulse.down, away)
    told = f"Triton does not answer ({away}). Requests that need a model fail with 503."
    browser.until(lambda: told in browser.find("#alarms").text)
    assert "0 of 4 models answer" in browser.find("#state").text
