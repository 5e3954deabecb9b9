from __future__ import annotations

import pytest

from engines.catalog import CATALOG, specs
from engines.errors import EngineError


def test_the_default_models_are_these_four() -> None:
    assert [spec.name for spec in specs()] == ["sentiment", "topics", "general", "contracts"]
    assert [spec.name for spec in specs(["topics", "general"])] == ["topics", "general"]


def test_an_unknown_model_is_named_and_the_known_ones_listed() -> None:
    with pytest.raises(EngineError, match=r"unknown model sentimental; .*sentiment, topics"):
        specs(["topics", "sentimental"])


def test_answers_have_a_number_for_every_label() -> None:
    assert {spec.name: spec.width for spec in specs()} == {
        "sentiment": 2,
        "topics": 4,
        "general": 384,
        "contracts": 2,
    }
    assert all(bool(spec.labels) == (spec.output == "logits") for spec in CATALOG.values())
