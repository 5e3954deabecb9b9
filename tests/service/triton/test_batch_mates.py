"""Any mix of requests in one batch: each gets its own answer, or its own error, and no other's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime  # noqa: F401  (before the folder of that name comes first on the path)
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.service.triton.stand_in import INPUTS, Request, answers_of, assert_own_answers

MOST_TOKENS = 600  # over the longest length that engines run
FAILS_THE_RUN = 5000


@dataclass(frozen=True)
class Sent:
    """Lengths of a request's rows, and what is wrong with it: "" is nothing."""

    lengths: tuple[int, ...]
    wrong: str
    seed: int


WRONGS = ("", "", "", "an id that fails the run", "a mask with holes", "an empty mask", "no mask")
requests_sent = st.lists(
    st.builds(
        Sent,
        st.lists(st.integers(1, MOST_TOKENS), min_size=1, max_size=6).map(tuple),
        st.sampled_from(WRONGS),
        st.integers(0, 2**16),
    ),
    min_size=1,
    max_size=8,
)


@pytest.fixture
def backend(import_backend: Callable[[str], ModuleType]) -> ModuleType:
    return import_backend("onnxruntime")


def request_of(sent: Sent) -> Request:
    generator = np.random.default_rng(sent.seed)
    width = max(sent.lengths)
    ids = generator.integers(0, 1000, (len(sent.lengths), width))
    mask = (np.arange(width) < np.array(sent.lengths)[:, None]).astype(np.int64)
    if sent.wrong == "an id that fails the run":
        ids[0, 0] = FAILS_THE_RUN
    elif sent.wrong == "a mask with holes":
        mask[0] = generator.integers(0, 2, width)
    elif sent.wrong == "an empty mask":
        mask[-1] = 0
    return Request(ids, INPUTS[:1] if sent.wrong == "no mask" else INPUTS, mask)


def test_any_mix_of_requests_gets_its_own_answers(load: Callable[..., Any]) -> None:
    model = load()

    @settings(max_examples=150, deadline=None)
    @given(requests_sent)
    def holds(sent: list[Sent]) -> None:
        requests = [request_of(each) for each in sent]
        answers = answers_of(requests, model.execute(requests))
        for each, request, answer in zip(sent, requests, answers, strict=True):
            if each.wrong == "an id that fails the run":
                assert "the engine failed" in answer.error
            elif each.wrong == "no mask":
                assert "attention_mask" in answer.error
            else:
                assert_own_answers([request], [answer])

    holds()
