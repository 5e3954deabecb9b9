"""Runs at fixed places and in few shapes; ONNX Runtime's CPU provider stands in for the GPU's."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import helper

from core.sub50_cuda import (
    PROVIDER,
    BoundEngine,
    NotOnGpu,
    lengths_within,
    open_session,
    provider_options,
    require_provider,
)
from tests.cpu_runtime import cpu_runtime
from tests.fake_triton import sums
from tests.tiny_models import tiny_engine

LENGTHS = (16, 32, 64)
CPU = "CPUExecutionProvider"


class Lost:
    """A session on a GPU that does nothing any more."""

    def io_binding(self) -> None:
        raise RuntimeError("CUDA failure 2: out of memory")


def bound(most_tokens: int = 128, max_tokens: int | None = None, **given: Any) -> BoundEngine:
    model = tiny_engine()
    if max_tokens is not None:
        helper.set_model_props(model, {"max_tokens": str(max_tokens)})
    session = ort.InferenceSession(model.SerializeToString(), providers=[CPU])
    return BoundEngine(session, ["logits"], LENGTHS, most_tokens, device="cpu", **given)


def feed(lengths: list[int], width: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Texts of these lengths; ids behind them would show in a sum."""
    mask = (np.arange(width) < np.array(lengths)[:, None]).astype(np.int64)
    ids = np.random.default_rng(seed).integers(1, 1000, mask.shape)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


@pytest.mark.parametrize("graphs", [True, False])
def test_rows_of_any_number_and_length_get_their_own_answers(graphs: bool) -> None:
    engine = bound(graphs=graphs)
    for number, lengths in enumerate(([5], [16, 2, 9], [40, 3], [30] * 7, [1] * 20)):
        inputs = feed(lengths, max(lengths), seed=number)
        (logits,) = engine.run(inputs)
        expected = sums(inputs["input_ids"], inputs["attention_mask"])
        np.testing.assert_array_equal(logits, expected)


def test_few_shapes_are_run_each_at_its_own_place() -> None:
    engine = bound()
    places = []
    for lengths in ([5], [14], [16, 2, 9], [3, 3, 3, 3], [30] * 3, [60] * 5):
        engine.run(feed(lengths, max(lengths)))
        places.append({shape: id(found) for shape, found in engine.buffers.items()})
    # 5 rows of 60 tokens are more than 128, so that they run two at a time.
    assert list(engine.buffers) == [(1, 16), (4, 16), (4, 32), (2, 64), (1, 64)]
    for before, after in pairwise(places):
        assert before.items() <= after.items()


def test_an_answer_stays_as_it_was_when_its_place_is_used_again() -> None:
    engine = bound()
    first = engine.run(feed([5], 16, seed=1))[0]
    kept = first.copy()
    assert not np.array_equal(engine.run(feed([9], 16, seed=2))[0], kept)
    np.testing.assert_array_equal(first, kept)


def test_every_shape_is_run_before_the_first_request() -> None:
    engine = bound()
    engine.warm_up()
    expected = {(n, 16) for n in (1, 2, 4, 8)} | {(n, 32) for n in (1, 2, 4)} | {(1, 64), (2, 64)}
    assert set(engine.buffers) == expected
    for lengths in ([5] * 9, [30] * 4, [64]):
        engine.run(feed(lengths, max(lengths)))
    assert set(engine.buffers) == expected


def test_the_most_rows_need_be_no_power_of_two() -> None:
    engine = bound(most_tokens=100)
    assert engine.row_counts(16) == [1, 2, 4, 6]
    assert engine.row_counts(64) == [1]
    (logits,) = engine.run(feed([16] * 5, 16))
    assert list(engine.buffers) == [(6, 16)]
    assert len(logits) == 5


def test_an_engine_of_fewer_tokens_is_run_at_no_more() -> None:
    assert lengths_within(LENGTHS, None) == [16, 32, 64]
    assert lengths_within(LENGTHS, 40) == [16, 32, 40]
    assert lengths_within(LENGTHS, 64) == [16, 32, 64]
    engine = bound(max_tokens=40)
    engine.run(feed([35], 35))
    assert list(engine.buffers) == [(1, 40)]
    with pytest.raises(ValueError, match="a text has 41 tokens, and the engine takes 40"):
        engine.run(feed([41], 41))


def test_padding_before_the_end_is_refused() -> None:
    inputs = feed([10], 16)
    inputs["attention_mask"][0, 3] = 0
    with pytest.raises(ValueError, match="attention_mask has a 1 behind a 0"):
        bound().run(inputs)


def test_each_shape_is_recorded_under_a_number_of_its_own() -> None:
    engine = bound(graphs=True)
    engine.warm_up()
    numbers = [
        found.options.get_run_config_entry("gpu_graph_id") for found in engine.buffers.values()
    ]
    assert len(set(numbers)) == len(numbers)
    # ONNX Runtime keeps 0 for itself, and -1 turns recording off.
    assert {"0", "-1"}.isdisjoint(numbers)


def test_a_graph_that_cannot_be_recorded_is_opened_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As ONNX Runtime refuses one of which a part would run on the processor."""
    asked = []

    def session(engine: bytes, options: Any, providers: list[Any], enable_fallback: int) -> Any:
        (_, chosen), _ = providers
        asked.append(chosen["enable_cuda_graph"])
        if asked[-1] == "1":
            raise RuntimeError("all compute graph nodes have not been partitioned")
        return made

    made = ort.InferenceSession(tiny_engine().SerializeToString(), providers=[CPU])
    monkeypatch.setattr(made, "get_providers", lambda: [PROVIDER, CPU])
    monkeypatch.setattr(ort, "get_available_providers", lambda: [PROVIDER, CPU])
    monkeypatch.setattr(ort, "InferenceSession", session)
    assert open_session(b"", ort.SessionOptions(), provider_options({}, graphs=True)) is made
    assert asked == ["1", "0"]
    assert not BoundEngine(made, ["logits"], LENGTHS, 128, device="cpu").graphs


def test_runs_are_recorded_where_the_session_was_made_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = ort.InferenceSession(tiny_engine().SerializeToString(), providers=[CPU])
    told = {PROVIDER: {"enable_cuda_graph": "1"}}
    monkeypatch.setattr(made, "get_provider_options", lambda: told)
    assert BoundEngine(made, ["logits"], LENGTHS, 128, device="cpu").graphs


def test_options_are_those_given_and_whether_runs_are_recorded() -> None:
    assert provider_options({}, graphs=True) == {"device_id": "0", "enable_cuda_graph": "1"}
    assert provider_options({"use_tf32": "0", "device_id": "1"}, graphs=False) == {
        "device_id": "1",
        "use_tf32": "0",
        "enable_cuda_graph": "0",
    }


@cpu_runtime
def test_a_runtime_for_processors_is_named_with_what_is_needed(tmp_path: Path) -> None:
    engine = tiny_engine().SerializeToString()
    with pytest.raises(NotOnGpu) as caught:
        open_session(engine, ort.SessionOptions(), provider_options({}, graphs=True))
    told = str(caught.value)
    assert f"has {', '.join(ort.get_available_providers())} and not {PROVIDER}" in told
    assert "driver 580 or newer" in told
    assert "`make setup-gpu`" in told
    assert "`sub50 engines tune MODEL --reset`" in told


def test_what_onnx_runtime_does_without_a_word_is_refused() -> None:
    """Where a library of CUDA is missing, it goes on with the provider for processors."""
    session = ort.InferenceSession(tiny_engine().SerializeToString(), providers=[CPU])
    with pytest.raises(NotOnGpu, match=rf"took {CPU} and not {PROVIDER}, which could not be load"):
        require_provider(session.get_providers())
    require_provider([PROVIDER, CPU])


@cpu_runtime
@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_a_provider_that_is_passed_over_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build for GPUs, by what it says; its session runs on the processor all the same."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: [PROVIDER, CPU])
    engine = tiny_engine().SerializeToString()
    with pytest.raises(NotOnGpu, match=rf"took {CPU} and not {PROVIDER}"):
        open_session(engine, ort.SessionOptions(), provider_options({}, graphs=True))


def test_an_engine_that_refuses_a_text_still_runs_and_one_that_lost_its_gpu_does_not() -> None:
    engine = bound()
    assert engine.runs_at_all()
    with pytest.raises(ValueError, match="65 tokens"):
        engine.run(feed([65], 65))
    assert engine.runs_at_all()

    engine.session = Lost()  # type: ignore[assignment]
    assert not engine.runs_at_all()


def test_too_little_memory_for_a_shape_is_a_gpu_that_cannot_be_used() -> None:
    engine = bound()
    engine.session = Lost()  # type: ignore[assignment]
    with pytest.raises(NotOnGpu, match=r"CUDA failure 2: out of memory; .*to spare; .*--reset"):
        engine.warm_up()
