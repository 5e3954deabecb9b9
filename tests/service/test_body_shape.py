"""Bodies made to be dear to parse are refused before they are parsed."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.api.body import SHAPED_BYTES, require_few_values
from service.errors import TooLarge
from tests.service.conftest import Service

MAX_INPUTS = 128
MEGABYTES = 4 << 20

DEAR = {
    "numbers": b'{"input": [' + b"1," * (MEGABYTES // 2) + b"1]}",
    "empty lists": b'{"input": [' + b"[]," * (MEGABYTES // 3) + b"1]}",
    "empty objects": b'{"input": [' + b"{}," * (MEGABYTES // 3) + b"1]}",
    "empty texts": b'{"input": [' + b'"",' * (MEGABYTES // 3) + b'"a"]}',
    "unknown fields": b'{"input": "a"' + b',"b":1' * (MEGABYTES // 6) + b"}",
    "texts that end in a backslash": b'{"input": [' + rb'"\\",' * (MEGABYTES // 5) + b'"a"]}',
}


@pytest.mark.parametrize("name", DEAR)
@pytest.mark.parametrize("route", ["/v1/classify", "/predict", "/hf/sentiment"])
def test_it_is_refused_at_once(service: Service, route: str, name: str) -> None:
    begun = time.monotonic()
    response = service.client.post(route, content=DEAR[name])
    # Parsed, the dearest of them held everybody up for a quarter of a minute.
    assert time.monotonic() - begun < 2
    assert response.status_code == 413
    assert "JSON values" in response.json()["detail"]


def test_as_many_texts_as_allowed_may_hold_anything(service: Service) -> None:
    texts = ['["a", {"b": 1}], \\ "c\\" ' * 20] * MAX_INPUTS
    assert service.post("/v1/classify", {"input": texts}).status_code == 200


def test_a_few_more_than_allowed_are_told_by_their_field(service: Service) -> None:
    response = service.post("/v1/classify", {"input": ["a text"] * 1000})
    assert response.status_code == 413
    assert response.json()["errors"][0]["field"] == "input"


def test_only_the_first_wrong_text_is_told(service: Service) -> None:
    response = service.post("/v1/classify", {"input": ["good", 5, 6, 7]})
    assert response.status_code == 422
    assert [item["field"] for item in response.json()["errors"]] == ["input.1"]


texts = st.text(alphabet='a,[]{}:"\\ \n☃', max_size=40)
# Padded, so that no body is too short to be looked at.
requests = st.fixed_dictionaries({"input": st.lists(texts, max_size=20)}).map(
    lambda request: request | {"padding": "x" * SHAPED_BYTES}
)


@settings(max_examples=300, deadline=None)
@given(requests, st.booleans())
def test_what_a_text_holds_counts_for_nothing(request: dict[str, object], ascii_: bool) -> None:
    body = json.dumps(request, ensure_ascii=ascii_).encode()
    require_few_values(body, MAX_INPUTS)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(texts, st.integers(), st.none()), min_size=1, max_size=20))
def test_every_value_counts(values: list[object]) -> None:
    repeated = values * (2000 // len(values) + 1)
    with pytest.raises(TooLarge, match="JSON values"):
        require_few_values(json.dumps({"input": repeated}).encode(), MAX_INPUTS)
