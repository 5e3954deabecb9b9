"""A model that was tuned to a GPU, on a machine without one: its engine for processors answers."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.promote_under_load import make_candidate
from core import onnx_runtime, sub50_cuda
from core.card import ENGINE_FILE, read_card, write_card
from engines.catalog import CATALOG
from engines.checksums import file_sha256
from engines.model_config import config_text, tuned_config
from engines.runtimes import GPU_FILE, Candidate
from service.errors import ServeError
from service.triton.client import TritonClient
from service.triton.repository import embedded_config
from service.triton.server import EmbeddedTriton
from tests.cpu_runtime import cpu_runtime
from tests.deploy.running import free_port
from tests.fake_triton import sums
from tests.live.promoting import TEXTS, classify, engines, result_of, start, until
from tests.live.test_stack import Stack
from tests.live.test_triton_serving import ask, text_of, with_client
from tests.tiny_models import tuned, write_tiny_model

pytestmark = [pytest.mark.live, cpu_runtime]
NAME = "sentiment"
STANDS_IN = "sub50_engine_stands_in{"


def tune_to_gpu(model: Path, max_run_tokens: int | None = None) -> None:
    """As `tune --runtime cuda` leaves a model, but for the graph, which nothing here could run."""
    config = tuned_config(CATALOG[NAME], Candidate("onnxruntime", "FP16", 1, 2), 40)
    config.name = model.name
    if max_run_tokens is not None:  # fewer shapes to run before the first request
        config.parameters["max_run_tokens"].string_value = str(max_run_tokens)
    (model / "config.pbtxt").write_text(config_text(config, tuned_model=model.name))
    version = model / "1"
    shutil.copy(version / ENGINE_FILE, version / GPU_FILE)
    served = {"precision": "FP16", "tuning": tuned(GPU_FILE, file_sha256(version / GPU_FILE))}
    write_card(read_card(version).model_copy(update=served), version)


def metric(text: str, name: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(name)]


def test_it_is_served_and_promoted_on_the_processor_and_says_why(
    repository: Path, tmp_path: Path
) -> None:
    tune_to_gpu(repository / NAME)
    stack = start(repository)
    try:
        answer = classify(stack.url, TEXTS[0])
        metrics = stack.get("/metrics").decode()
        make_candidate(repository / NAME / "1", tmp_path / "candidate")
        result_of(engines("promote", NAME, str(tmp_path / "candidate"), repository=repository))
        promoted = classify(stack.url, TEXTS[0])
        after = stack.get("/metrics").decode()
    finally:
        status, output = stack.end()
    assert status == 0, output
    assert (answer["version"], promoted["version"]) == ("1", "2")
    assert answer["results"][0]["label"] == promoted["results"][0]["label"]
    for told in (metrics, after):
        assert metric(told, "sub50_engine_stands_in") == [
            'sub50_engine_stands_in{model="sentiment"} 1.0'
        ]
        (engine,) = metric(told, "sub50_engine_info{")
        assert 'precision="INT8"' in engine
        assert 'backend="onnxruntime"' in engine
    assert "model sentiment is served by its engine for processors, because" in output
    assert "`make setup-gpu`" in output
    assert "`sub50 engines tune sentiment --reset`. It is tried again at the next start" in output


def test_it_goes_on_on_the_processor_when_the_gpu_goes_while_it_serves(
    repository: Path, tmp_path: Path
) -> None:
    """All but the GPU, which the processor plays: the model's process, Triton, the service."""
    tune_to_gpu(repository / NAME, max_run_tokens=512)
    gone = tmp_path / "gone"
    program = (sys.executable, "-m", "tests.live.pretended_gpu", str(gone))
    stack = Stack(free_port(), "--repository", str(repository), program=program)
    try:
        stack.wait_until_ready()
        before = classify(stack.url, TEXTS[0])
        told_before = stack.get("/metrics").decode()
        gone.touch()
        until(lambda: "1.0" in metric(stack.get("/metrics").decode(), STANDS_IN)[0])
        stack.wait_until_ready()
        after = classify(stack.url, TEXTS[0])
        told_after = stack.get("/metrics").decode()
    finally:
        status, output = stack.end()
    assert status == 0, output
    assert before["results"][0]["label"] == after["results"][0]["label"]
    assert 'precision="FP16"' in metric(told_before, "sub50_engine_info{")[0]
    (engine,) = metric(told_after, "sub50_engine_info{")
    assert 'precision="INT8"' in engine
    (restart,) = metric(told_after, 'sub50_triton_restarts_total{reason="model_died"}')
    assert restart.endswith(" 1.0")
    assert "the GPU runs nothing any more: CUDA failure 719" in output
    assert "model sentiment is served by its engine for processors, because" in output


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two models, of which one was tuned to a GPU; `onnxruntime-gpu` seems to be installed.

    So what is missing is found out by who opens the engine, as where it is a library of CUDA.
    """
    found = {onnx_runtime.GPU: "1.31.1"}
    monkeypatch.setattr(onnx_runtime, "installed_runtimes", lambda path=None: found)
    write_tiny_model(tmp_path, "plain")
    tune_to_gpu(write_tiny_model(tmp_path, "fast"))
    (tmp_path / "fast" / "labels.txt").write_text("negative\npositive\n")
    return tmp_path


async def both_answer(client: TritonClient) -> None:
    for model in ("fast", "plain"):
        text = text_of(20)
        np.testing.assert_array_equal(await ask(client, model, text), sums(*text))


def test_a_gpu_that_fails_while_the_engine_is_loaded_is_stood_in_for(tiny: Path) -> None:
    with EmbeddedTriton(tiny, may_stand_in=True) as triton:
        assert list(triton.configured.stand_ins) == ["fast"]
        assert f"and not {sub50_cuda.PROVIDER}" in triton.configured.stand_ins["fast"]
        with_client(triton, both_answer)
        assert triton.revive({"fast": "1", "plain": "1"}) == {}
        with_client(triton, both_answer)


def test_a_gpu_that_is_gone_when_triton_is_started_anew_is_stood_in_for(tiny: Path) -> None:
    with EmbeddedTriton(tiny, may_stand_in=True) as triton:
        # As if the GPU had been there until now.
        triton.configured.stand_ins.clear()
        triton.configured.configs["fast"] = embedded_config(tiny / "fast", ["1"])
        assert triton.revive({"fast": "1", "plain": "1"}) == {}
        assert list(triton.stand_ins) == ["fast"]
        with_client(triton, both_answer)


def test_who_cannot_tell_the_service_is_refused(tiny: Path) -> None:
    with pytest.raises(ServeError, match=r"Model fast cannot be served: .*nvidia-smi"):
        EmbeddedTriton(tiny).start()


def test_an_engine_for_processors_that_is_damaged_stands_in_for_nothing(tiny: Path) -> None:
    with (tiny / "fast" / "1" / ENGINE_FILE).open("ab") as engine:
        engine.write(b"more")
    with pytest.raises(ServeError, match=r"Model fast cannot be served: .*damaged"):
        EmbeddedTriton(tiny, may_stand_in=True).start()
