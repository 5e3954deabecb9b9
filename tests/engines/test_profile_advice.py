"""Every rule speaks from its threshold on, and of nothing that does not stand out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from engines import profile_advice as rules
from engines.operator_groups import group_of
from engines.phases import DATA, OPTIMIZER
from engines.profile_advice import ENGINE_RULES, SHARED_RULES, TRAINING_RULES, advice_of
from engines.profile_engine import CALL, TOKENIZING
from engines.profile_record import GpuTimes, Part, Profile, Total
from engines.profile_totals import BETWEEN, OPERATORS

INT8 = "MatMulIntegerToFloat"


def profile(operators: Mapping[str, float] | None = None, **changes: Any) -> Profile:
    """10 ms in which nothing stands out: half are INT8 products; and `operators` by share."""
    shares = {INT8: 0.5, **(operators or {})}
    totals = [
        Total(name=name, group=group_of(name), calls=1, ms=10 * share, share=share, mean_us=1)
        for name, share in shares.items()
        if share
    ]
    fields: dict[str, Any] = {
        "what": "call",
        "model": "tiny",
        "version": "1",
        "runs_on": "onnxruntime INT8",
        "threads": 2,
        "machine": "none",
        "texts": 1,
        "tokens": 25,
        "padding_share": 0,
        "source": "none",
        "rounds": 45,
        "parts": [],
        "inside": [],
        "plain_ms": 9.0,
        "profiled_ms": 10.0,
        "busy_threads": 1.9,
        "operators": totals,
    }
    return Profile.model_validate(fields | changes)


def part(name: str, share: float) -> list[Part]:
    return [Part(name=name, ms=10 * share, share=share)]


def gpu(idle: float = 0.0, copies: float = 0.0) -> GpuTimes:
    return GpuTimes(
        kernels_ms=10 * (1 - idle - copies),
        copies_ms=10 * copies,
        idle_ms=10 * idle,
        gaps_ms=0,
        gaps=0,
        by_kernel=[],
        by_operator=[],
        longest_gaps=[],
    )


def spoken(found: Profile) -> list[str]:
    return [advice.rule for advice in advice_of(found)]


def norm_parts(share: float) -> dict[str, float]:
    return {"ReduceMean": share / 2, "Pow": share / 4, "Sqrt": share / 4}


STEP: dict[str, Any] = {"what": "step"}
CASES = {
    "no INT8 products": (rules.FLOAT_PRODUCTS_FROM, lambda x: profile({INT8: 0, "MatMul": x})),
    "products left in float": (rules.FLOAT_PRODUCTS_FROM, lambda x: profile({"FusedMatMul": x})),
    "much quantizing": (rules.QUANTIZING_FROM, lambda x: profile({"DynamicQuantizeLinear": x})),
    "layer norms spelled out": (rules.SPELLED_NORM_FROM, lambda x: profile(norm_parts(x))),
    "GELU spelled out": (rules.SPELLED_GELU_FROM, lambda x: profile({"Erf": x})),
    "much moving": (rules.MOVING_FROM, lambda x: profile({"Transpose": x / 2, "Cast": x / 2})),
    "much tokenizing": (
        rules.TOKENIZING_FROM,
        lambda x: profile(parts=part(TOKENIZING, x) + part(CALL, 1 - x)),
    ),
    "much data loading": (rules.DATA_FROM, lambda x: profile(parts=part(DATA, x), **STEP)),
    "much casting": (rules.CASTS_FROM, lambda x: profile({"aten::copy_": x}, **STEP)),
    "much optimizer": (rules.OPTIMIZER_FROM, lambda x: profile(parts=part(OPTIMIZER, x), **STEP)),
    "idle GPU": (rules.GPU_IDLE_FROM, lambda x: profile(gpu=gpu(idle=x))),
    "copies to and from the GPU": (rules.GPU_COPIES_FROM, lambda x: profile(gpu=gpu(copies=x))),
    "a costly profiler": (
        rules.PROFILER_FROM,
        lambda x: profile(plain_ms=10, profiled_ms=10 * (1 + x)),
    ),
}
OF_BOTH = {
    "time between operators": (
        rules.BETWEEN_FROM,
        lambda x, **what: profile(inside=part(OPERATORS, 1 - x) + part(BETWEEN, x), **what),
    ),
    "much padding": (
        rules.PADDING_FROM,
        lambda x, **what: profile(padding_share=x, texts=8, **what),
    ),
}


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_speaks_from_its_threshold_on(rule: str) -> None:
    threshold, made = CASES[rule]
    assert spoken(made(threshold + 1e-6)) == [rule]
    assert spoken(made(threshold - 1e-3)) == []


@pytest.mark.parametrize("rule", OF_BOTH)
@pytest.mark.parametrize("what", ["call", "step"])
def test_a_rule_of_calls_and_steps_speaks_of_both(rule: str, what: str) -> None:
    threshold, made = OF_BOTH[rule]
    assert spoken(made(threshold + 1e-6, what=what)) == [rule]
    assert spoken(made(threshold - 1e-3, what=what)) == []


@pytest.mark.parametrize("what", ["call", "step"])
def test_threads_that_wait_are_told_where_there_are_several(what: str) -> None:
    waiting = 2 * rules.BUSY_UNDER - 0.01
    assert spoken(profile(busy_threads=waiting, what=what)) == ["threads that wait"]
    assert spoken(profile(busy_threads=2 * rules.BUSY_UNDER, what=what)) == []
    assert spoken(profile(busy_threads=0.9, threads=1, what=what)) == []
    # There the processor waits for the GPU.
    assert spoken(profile(busy_threads=0.5, gpu=gpu(), what=what)) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_a_busy_machine_is_told_and_not_taken_for_threads_that_wait(threads: int) -> None:
    held_up = profile(busy_threads=rules.CORE_UNDER - 0.01, threads=threads)
    assert spoken(held_up) == ["a busy machine"]
    assert "a busy machine" not in spoken(profile(busy_threads=rules.CORE_UNDER, threads=threads))


def test_every_rule_is_held_to_its_threshold_here() -> None:
    tested = {*CASES, *OF_BOTH, "threads that wait", "a busy machine"}
    assert {rule.name for rule in (*ENGINE_RULES, *TRAINING_RULES, *SHARED_RULES)} == tested


def test_advice_names_its_figure_and_its_threshold() -> None:
    (advice,) = advice_of(profile({"DynamicQuantizeLinear": 0.31}))
    assert advice.found == "31 % of a call is quantizing and back"
    assert advice.threshold == "from 15 % on"
    assert "sub50 engines quantize" in advice.advice


def test_padding_of_a_text_by_itself_is_no_matter_of_its_neighbours() -> None:
    assert spoken(profile(padding_share=0.9, texts=1)) == []


def test_pooling_alone_is_no_layer_norm_spelled_out() -> None:
    assert spoken(profile({"ReduceMean": 0.2})) == []


def test_operators_are_known_in_every_runtime() -> None:
    assert group_of("MatMul") == group_of("aten::mm") == group_of("FullyConnected")
    assert group_of("FullyConnected INT8") == group_of("MatMulInteger")
    assert group_of("Reorder") == group_of("aten::copy_") == group_of("Transpose")
    assert group_of("SomethingNew") == "other"
