"""Promotions while serving: the whole API on a socket, over a Triton that is faked at the wire."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from core.card import Drift, read_card, write_card
from core.control import tell
from core.versions import read_served
from engines.catalog import CATALOG
from engines.errors import EngineError
from engines.model_config import write_model_files
from engines.promote import promote, rollback
from service import golden
from tests.service.conftest import Service, StartService, write_repository
from tests.service.version_answers import deaf, doubled, swapped, three_wide, without_numbers
from tests.tiny import card, write_version

TEXT = "the film is good"
WATCH_SECONDS = 0.2


@pytest.fixture(autouse=True)
def _quick_golden_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested here is what is compared, not how gently."""
    monkeypatch.setattr(golden, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(golden, "TRIES", 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_repository(tmp_path / "models")
    write_model_files(CATALOG["sentiment"], tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    write_version(tmp_path / "made", card("sentiment", description="the new one"), mark=b"new")
    return tmp_path / "made"


@pytest.fixture
def service(start_service: StartService, folder: Path) -> Service:
    running = start_service(WATCH_SECONDS, repository=folder, readiness_seconds=0.01)
    running.triton.loaded = {"sentiment": {"1"}}
    running.triton.versions = {("sentiment", "2"): doubled, ("sentiment", "3"): doubled}
    return running


def version(service: Service) -> str:
    return str(service.post("/v1/classify", {"input": TEXT}).json()["version"])


def score(service: Service) -> float:
    return float(service.post("/v1/classify", {"input": TEXT}).json()["results"][0]["score"])


def metrics(service: Service) -> dict[str, float]:
    lines = service.client.get("/metrics").text.splitlines()
    pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in pairs}


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_promotion_switches_version_engine_and_metrics(
    service: Service, folder: Path, candidate: Path
) -> None:
    before = score(service)
    assert version(service) == "1"
    result = promote("sentiment", str(candidate), folder)
    assert (result["version"], result["before"], result["service"]) == ("2", "1", True)
    assert result["golden"]["labels_changed"] == 0
    assert version(service) == "2"
    assert score(service) > before, "the new engine answers"
    assert service.client.get("/v1/models/sentiment").json()["description"] == "the new one"
    assert read_served(folder / "sentiment").previous == ("1",)
    found = metrics(service)
    engines = [name for name in found if name.startswith("sub50_engine_info{")]
    assert len([name for name in engines if 'model="sentiment"' in name]) == 1
    assert any('model="sentiment"' in name and 'version="2"' in name for name in engines)
    assert found['sub50_promotions_total{model="sentiment",result="promoted"}'] == 1
    assert service.triton.loads[0] == ("sentiment", {"1", "2"})
    until(lambda: service.triton.loads[-1] == ("sentiment", {"2"}))
    assert service.client.get("/readyz").json()["ready"] is True


def test_there_and_back_at_once(service: Service, folder: Path, candidate: Path) -> None:
    before = score(service)
    promote("sentiment", str(candidate), folder)
    result = rollback("sentiment", folder)
    assert (result["version"], result["before"]) == ("1", "2")
    assert version(service) == "1"
    assert score(service) == before
    assert metrics(service)['sub50_promotions_total{model="sentiment",result="rolled_back"}'] == 1
    until(lambda: service.triton.loaded["sentiment"] == {"1"})
    with pytest.raises(EngineError, match="no earlier version"):
        rollback("sentiment", folder)
    assert promote("sentiment", "2", folder)["version"] == "2"
    until(lambda: service.triton.loaded["sentiment"] == {"2"})
    assert rollback("sentiment", folder)["version"] == "1"
    assert version(service) == "1"


def refused(service: Service, folder: Path, candidate: Path, **options: Any) -> str:
    """Why a promotion failed, after checking that all is as before."""
    before = score(service)
    with pytest.raises(EngineError) as caught:
        promote("sentiment", str(candidate), folder, **options)
    assert version(service) == "1"
    assert score(service) == before
    assert not (folder / "sentiment" / "2").exists()
    state = read_served(folder / "sentiment")
    assert state is None or state.version == "1"
    until(lambda: service.triton.loaded["sentiment"] == {"1"})
    return str(caught.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (swapped, "golden requests otherwise than version 1"),
        (without_numbers, "values that are no numbers"),
        (three_wide, "3 numbers for 2 labels"),
        (deaf, "the same answer"),
    ],
)
def test_golden_answers_that_do_not_hold_are_refused(
    service: Service, folder: Path, candidate: Path, answer: Any, words: str
) -> None:
    service.triton.versions["sentiment", "2"] = answer
    assert words in refused(service, folder, candidate)
    assert metrics(service)['sub50_promotions_total{model="sentiment",result="refused"}'] == 1


def test_force_lets_labels_change(service: Service, folder: Path, candidate: Path) -> None:
    service.triton.versions["sentiment", "2"] = swapped
    assert promote("sentiment", str(candidate), folder, force=True)["golden"]["labels_changed"] > 0
    assert version(service) == "2"
    assert rollback("sentiment", folder)["version"] == "1", "whatever its labels"


def test_the_drift_of_the_cards_allows_for_changed_labels(
    service: Service, folder: Path, candidate: Path
) -> None:
    drift = Drift(texts=10, mean_change=0.1, largest_change=0.9, labels_changed=10)
    write_card(read_card(candidate).model_copy(update={"drift": drift}), candidate)
    service.triton.versions["sentiment", "2"] = swapped
    found = promote("sentiment", str(candidate), folder)["golden"]
    assert 0 < found["labels_changed"] <= found["labels_allowed"]


def test_a_candidate_that_cannot_be_loaded_is_told(
    service: Service, folder: Path, candidate: Path
) -> None:
    service.triton.load_failure = {"2": "model.onnx: not a graph"}
    assert "not a graph" in refused(service, folder, candidate)


def test_a_candidate_that_does_not_answer_is_told(
    service: Service, folder: Path, candidate: Path
) -> None:
    service.triton.version_failures = {"2"}
    assert "does not answer a golden request" in refused(service, folder, candidate)


def test_a_candidate_that_is_too_slow_is_told(
    start_service: StartService, folder: Path, candidate: Path
) -> None:
    service = start_service(WATCH_SECONDS, repository=folder, interactive_timeout_ms=30)
    service.triton.loaded = {"sentiment": {"1"}}
    service.triton.version_delays = {"2": 0.3}
    with pytest.raises(EngineError, match="30 ms are promised"):
        promote("sentiment", str(candidate), folder)
    assert service.triton.loaded == {"sentiment": {"1"}}
    service.triton.version_delays = {"1": 0.3, "2": 0.3}
    assert promote("sentiment", str(candidate), folder)["version"] == "2", "no slower than before"


def test_a_full_disk_switches_nothing(
    service: Service, folder: Path, candidate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote("sentiment", str(candidate), folder)
    rollback("sentiment", folder)
    before = read_served(folder / "sentiment")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EngineError, match="No space left"):
        promote("sentiment", "2", folder)
    assert version(service) == "1"
    assert read_served(folder / "sentiment") == before
    assert list(folder.glob(".sentiment.served*")) == []


def test_a_version_that_fails_once_it_serves_is_taken_back(
    start_service: StartService, folder: Path, candidate: Path
) -> None:
    service = start_service(5.0, repository=folder)
    service.triton.loaded = {"sentiment": {"1"}}
    with ThreadPoolExecutor(1) as pool:
        promotion = pool.submit(promote, "sentiment", str(candidate), folder)
        until(lambda: version(service) == "2")
        service.triton.version_failures = {"2"}
        assert service.post("/v1/classify", {"input": TEXT}).status_code == 503
        with pytest.raises(EngineError, match="version 1 serves again"):
            promotion.result(timeout=4)
    assert version(service) == "1"
    assert read_served(folder / "sentiment").version == "1"
    assert metrics(service)['sub50_promotions_total{model="sentiment",result="reverted"}'] == 1


def test_two_promotions_at_once_are_an_error(
    start_service: StartService, folder: Path, candidate: Path
) -> None:
    service = start_service(1.0, repository=folder)
    message = {"do": "promote", "model": "sentiment", "version": "2"}
    write_version(folder / "sentiment" / "2", card("sentiment", version="2"))
    (folder / "sentiment.served.json").write_text('{"version": "1"}')
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(tell, folder, message) for _ in range(2)]
        answers = [each.result() for each in both]
    assert sorted(answer["ok"] for answer in answers if answer) == [False, True]
    assert "under way" in json.dumps(answers)
    assert version(service) == "2"


def test_requests_under_way_end_with_the_version_they_began_with(
    service: Service, folder: Path, candidate: Path
) -> None:
    """No call mixes versions, none is lost, and the old one is unloaded only after the last."""
    service.triton.delay_seconds = 0.02
    stop = threading.Event()
    answers: list[tuple[int, str, float]] = []

    def ask() -> None:
        while not stop.is_set():
            response = service.post("/v1/classify", {"input": [TEXT] * 40})
            body = response.json()
            scores = {result["score"] for result in body.get("results", [])}
            assert len(scores) == 1, "rows of one request by two engines"
            answers.append((response.status_code, body["version"], scores.pop()))

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask) for _ in range(8)]
        promote("sentiment", str(candidate), folder)
        rollback("sentiment", folder)
        stop.set()
        for each in asking:
            each.result()
    assert {status for status, _, _ in answers} == {200}
    by_version = {version: {s for _, v, s in answers if v == version} for version in ("1", "2")}
    assert len(by_version["1"]) == len(by_version["2"]) == 1
    assert by_version["1"] != by_version["2"]


def test_a_long_request_keeps_its_version_loaded(
    service: Service, folder: Path, candidate: Path
) -> None:
    with ThreadPoolExecutor(1) as pool:
        service.triton.delay_seconds = 0.05
        long = pool.submit(service.post, "/v1/classify", {"input": ["the bad film " * 30] * 120})
        until(lambda: len(service.triton.requests) > 2)
        service.triton.delay_seconds = 0.02
        promote("sentiment", str(candidate), folder)
        assert not long.done()
        assert service.triton.loaded["sentiment"] == {"1", "2"}
        response = long.result()
    assert (response.status_code, response.json()["version"]) == (200, "1")
    until(lambda: service.triton.loaded["sentiment"] == {"2"})
