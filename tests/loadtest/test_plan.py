"""A plan says what is wrong with it, and survives being written down."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loadtest.errors import WrongPlan
from loadtest.plan import Plan


def test_json_and_back() -> None:
    plan = Plan(rate_per_second=12.5, scenario="mixed", texts="review", seed=7)
    assert Plan.from_json(plan.to_json()) == plan


def test_a_plan_says_what_is_asked_of_whom() -> None:
    assert Plan(texts="sentence").asked() == {
        "host": "http://127.0.0.1:8080",
        "texts": "sentence",
        "models": ["sentiment"],
        "budget_ms": 50.0,
    }
    mixed = Plan(scenario="mixed").asked()
    assert (mixed["texts"], mixed["models"]) == ("mixed", ["contracts", "general", "sentiment"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("host", "localhost:8080"),
        ("host", "ftp://x"),
        ("rate_per_second", 0),
        ("rate_per_second", float("nan")),
        ("rate_per_second", 1e9),
        ("duration_seconds", -1.0),
        ("warm_up_seconds", -0.1),
        ("budget_ms", 0),
        ("timeout_ms", "soon"),
        ("connections", 0),
        ("seed", -1),
        ("scenario", "translate"),
        ("texts", "poem"),
    ],
)
def test_the_wrong_field_is_named(field: str, value: Any) -> None:
    with pytest.raises(WrongPlan) as caught:
        Plan(**{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"speed": 1})])
def test_what_is_no_plan(text: str) -> None:
    with pytest.raises(WrongPlan):
        Plan.from_json(text)
