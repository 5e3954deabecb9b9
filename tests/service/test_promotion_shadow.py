"""A candidate in the shadow: the whole API on a socket, over a Triton that is faked at the wire."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.card import read_card, write_card
from core.control import tell
from core.versions import read_served
from engines.catalog import CATALOG
from engines.checksums import file_sha256
from engines.errors import EngineError
from engines.model_config import write_model_files
from engines.promote import Shadow, promote
from service import golden, shadow, shadow_record
from tests.service.conftest import Service, StartService, logits_by_words, write_repository
from tests.tiny import card, write_version

TEXT = "the film is good"
TEXT_TOKENS = 7
SECONDS = 2.0
# Between an answer and the next request: copies are asked of the versions in such moments only.
PAUSE_SECONDS = 0.01
COMPARED = 'sub50_shadow_copies_total{model="sentiment",result="compared"}'
Answers = Callable[[np.ndarray, np.ndarray], np.ndarray]


def sure(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
    return 9 * logits_by_words(input_ids, attention_mask)


def contrary(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
    """The same answers but to texts of the length that clients send here."""
    other = attention_mask.sum(1, keepdims=True) == TEXT_TOKENS
    return np.where(other, -1, 1) * sure(input_ids, attention_mask)


def broken(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
    other = attention_mask.sum(1, keepdims=True) == TEXT_TOKENS
    return np.where(other, np.nan, 1) * sure(input_ids, attention_mask)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(golden, "TRIES", 1)
    monkeypatch.setattr(shadow, "REST_FACTOR", 0.0)
    monkeypatch.setattr(shadow_record, "LEAST_COPIES", 10)
    monkeypatch.setattr(shadow_record, "LEAST_LABELS", 10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_repository(tmp_path / "models")
    write_model_files(CATALOG["sentiment"], tmp_path / "models")
    version = tmp_path / "models" / "sentiment" / "1"
    sums = {"tokenizer_sha256": file_sha256(version / "tokenizer.json")}
    write_card(read_card(version).model_copy(update=sums), version)
    return tmp_path / "models"


@pytest.fixture
def candidate(tmp_path: Path, folder: Path) -> Path:
    write_version(tmp_path / "made", card("sentiment"), mark=b"new")
    return tmp_path / "made"


@pytest.fixture
def service(start_service: StartService, folder: Path) -> Service:
    running = start_service(0.2, repository=folder)
    running.triton.loaded = {"sentiment": {"1"}}
    running.triton.versions = {("sentiment", "1"): sure, ("sentiment", "2"): sure}
    return running


@contextmanager
def traffic(service: Service) -> Iterator[list[int]]:
    """Statuses of requests that are sent one after the other for as long as the block runs."""
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            statuses.append(service.post("/v1/classify", {"input": TEXT}).status_code)
            time.sleep(PAUSE_SECONDS)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        thread.join()


def promoted(folder: Path, candidate: Path, **options: Any) -> tuple[Any, list[dict[str, Any]]]:
    told: list[dict[str, Any]] = []
    options = {"seconds": SECONDS, "share": 1.0} | options
    force = options.pop("force", False)
    asked = Shadow(**options, on_progress=told.append)
    return promote("sentiment", str(candidate), folder, force, asked), told


def metrics(service: Service) -> dict[str, float]:
    lines = service.client.get("/metrics").text.splitlines()
    pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in pairs}


def is_as_before(service: Service, folder: Path) -> bool:
    deadline = time.monotonic() + 5
    while service.triton.loaded["sentiment"] != {"1"} and time.monotonic() < deadline:
        time.sleep(0.02)
    answer = service.post("/v1/classify", {"input": TEXT}).json()
    state = read_served(folder / "sentiment")
    return (
        answer["version"] == "1"
        and service.triton.loaded["sentiment"] == {"1"}
        and (state is None or state.version == "1")
        and not (folder / "sentiment" / "2").exists()
    )


def test_one_that_agrees_is_promoted(service: Service, folder: Path, candidate: Path) -> None:
    with traffic(service) as statuses:
        begun = time.monotonic()
        result, told = promoted(folder, candidate)
        assert time.monotonic() - begun > SECONDS
    found = result["shadow"]
    assert (result["version"], result["before"]) == ("2", "1")
    assert found["copies"] >= 10
    assert found["labels_compared"] == found["copies"]
    assert found["labels_changed"] == 0
    assert set(statuses) == {200}
    assert service.post("/v1/classify", {"input": TEXT}).json()["version"] == "2"
    assert [each["copies"] for each in told] == sorted(each["copies"] for each in told)
    assert told[-1]["copies"] > 0
    counted = metrics(service)
    labels = 'sub50_shadow_labels_total{model="sentiment",result="agreed"}'
    assert counted[COMPARED] == counted[labels] == found["copies"]


def test_a_share_of_the_requests_is_copied(
    service: Service, folder: Path, candidate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_record, "LEAST_COPIES", 1)
    monkeypatch.setattr(shadow_record, "LEAST_LABELS", 1)
    with traffic(service) as statuses:
        found = promoted(folder, candidate, share=0.1)[0]["shadow"]
    assert 0 < found["copies"] + found["dropped"] < 0.4 * len(statuses)


def refused(service: Service, folder: Path, candidate: Path, **options: Any) -> str:
    with traffic(service) as statuses, pytest.raises(EngineError) as caught:
        promoted(folder, candidate, **options)
    assert set(statuses) == {200}
    assert is_as_before(service, folder)
    return str(caught.value)


def test_one_that_disagrees_is_refused_with_the_figures(
    service: Service, folder: Path, candidate: Path
) -> None:
    service.triton.versions["sentiment", "2"] = contrary
    assert "sure labels differ (0.0 % agree" in refused(service, folder, candidate)
    assert metrics(service)['sub50_promotions_total{model="sentiment",result="refused"}'] == 1
    with traffic(service):
        assert promoted(folder, candidate, force=True)[0]["version"] == "2"


def test_one_that_is_slower_is_refused(service: Service, folder: Path, candidate: Path) -> None:
    service.triton.version_delays = {"1": 0.01, "2": 0.08}
    said = refused(service, folder, candidate, seconds=4.0)
    assert "calls took longer than" in said
    assert "that of version 1" in said


def test_one_that_fails_on_a_copy_is_refused_at_once(
    service: Service, folder: Path, candidate: Path
) -> None:
    service.triton.versions["sentiment", "2"] = broken
    begun = time.monotonic()
    assert "failed on a copy" in refused(service, folder, candidate, seconds=60.0)
    assert time.monotonic() - begun < 20


def test_without_traffic_nothing_is_promoted(
    service: Service, folder: Path, candidate: Path
) -> None:
    with pytest.raises(EngineError, match="only 0 copies of live requests"):
        promoted(folder, candidate, seconds=0.2)
    assert is_as_before(service, folder)


def test_without_a_service_it_says_what_it_needs(folder: Path, candidate: Path) -> None:
    with pytest.raises(EngineError, match="no `sub50 serve` runs"):
        promoted(folder, candidate)
    assert not (folder / "sentiment" / "2").exists()
    assert read_served(folder / "sentiment").version == "1"


def test_another_tokenizer_is_told_before_anything_is_loaded(
    service: Service, folder: Path, tmp_path: Path
) -> None:
    write_version(tmp_path / "other", card("sentiment", max_tokens=128), mark=b"new")
    with pytest.raises(EngineError, match="Promote it without --shadow"):
        promoted(folder, tmp_path / "other")
    assert service.triton.loads == []
    assert is_as_before(service, folder)


def test_two_at_once_are_an_error(service: Service, folder: Path, candidate: Path) -> None:
    with traffic(service):
        thread = threading.Thread(target=promoted, args=(folder, candidate))
        thread.start()
        time.sleep(SECONDS / 2)
        with pytest.raises(EngineError, match="another promotion of sentiment is under way"):
            promote("sentiment", str(candidate), folder)
        answer = tell(folder, {"do": "rollback", "model": "sentiment"})
        thread.join()
    assert answer is not None
    assert "under way" in answer["error"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_command_that_goes_away_calls_it_off(
    service: Service, folder: Path, candidate: Path, how: signal.Signals
) -> None:
    command = [sys.executable, "-c", "from service.cli import app; app()", "engines", "promote"]
    with traffic(service) as statuses:
        process = subprocess.Popen(
            [*command, "sentiment", str(candidate), "--shadow", "10m", "--repository", str(folder)],
            stderr=subprocess.PIPE,
            text=True,
        )
        loads = service.triton.loads
        deadline = time.monotonic() + 60
        while not (loads and metrics(service).get(COMPARED)):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(how)
        _, errors = process.communicate(timeout=10)
    assert set(statuses) == {200}
    assert process.returncode == (1 if how == signal.SIGINT else -signal.SIGKILL)
    if how == signal.SIGINT:
        assert "called off: version 1 of sentiment serves as before" in errors
        assert is_as_before(service, folder)
    else:  # nobody is left to remove the copy
        deadline = time.monotonic() + 5
        while service.triton.loaded["sentiment"] != {"1"} and time.monotonic() < deadline:
            time.sleep(0.02)
        assert service.triton.loaded["sentiment"] == {"1"}
        assert read_served(folder / "sentiment").version == "1"
