"""Properties of the request path that have to hold for any input."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from fastapi import Request
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from core.buckets import BUCKET_LENGTHS, MAX_TOKENS
from core.sentences import split_sentences
from core.tokenizer import TextTokenizer, Tokens, Truncate, clean, pad
from service.api.exchange import (
    ACCEPTED_REQUEST_ID,
    REQUEST_ID,
    TIMEOUT,
    _caller_timeout_ms,
    request_id_of,
)
from service.call import Call
from service.errors import InvalidFields
from service.postprocess import summary_of
from service.schemas import SummarizeRequest
from service.slices import plan_slices
from tests.tiny import WORDS, card, write_tokenizer

ROOT = Path(__file__).parent.parent.parent
TINY_TOKENS = 24
PIECES = [" ", "\n", "\f", "1.", "(a)", "\ud800", "é", "好", "😀"]
# Any code point, surrogates too, and pieces that mean something to tokenizer or splitter.
TEXTS = st.one_of(
    st.text(st.characters(), max_size=200),
    st.lists(
        st.sampled_from([*WORDS, " ", "\n", "\f", "1.", "(a)", "\ud800", "é", "好", "😀"])
    ).map(" ".join),
)
HEADER_VALUES = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=200),
    st.from_regex(r"[A-Za-z0-9._:/+=-]{0,130}[\r\n\x00 ]?", fullmatch=True),
)
NUMBERS = st.one_of(
    HEADER_VALUES,
    st.floats().map(repr),
    st.integers().map(str),
    st.sampled_from(["1_000", "0x10", "+5", "1e999", "-0", "1.", ".5", "١", "infinity", "1e-400"]),
)
LENGTHS = st.lists(st.integers(2, MAX_TOKENS), min_size=1, max_size=30)


def request_with(name: str, value: str) -> Request:
    """A request with one header, as the server hands it over: bytes in Latin-1."""
    headers = [(name.lower().encode(), value.encode("latin-1", "replace"))]
    return Request({"type": "http", "headers": headers})


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    write_tokenizer(path)
    return path


@pytest.fixture(scope="module")
def tokenizer(tokenizer_file: Path) -> TextTokenizer:
    return TextTokenizer(tokenizer_file, max_tokens=TINY_TOKENS)


def check_against_reference(ours: TextTokenizer, file: Path, text: str, side: Truncate) -> None:
    """The library's own truncation of the cleaned text, which we replace, is the reference."""
    reference = Tokenizer.from_file(str(file))
    reference.no_padding()
    reference.no_truncation()
    whole = reference.encode(clean(text)).ids
    reference.enable_truncation(ours.max_tokens, direction=side)
    (tokens,) = ours.encode([text], side)
    assert tokens.ids == reference.encode(clean(text)).ids
    assert tokens.source_tokens == len(whole)
    assert tokens.truncated == (len(whole) > ours.max_tokens)


@given(text=TEXTS, side=st.sampled_from(["left", "right"]))
@settings(deadline=None)
def test_tokens_are_those_of_the_library(
    tokenizer: TextTokenizer, tokenizer_file: Path, text: str, side: Truncate
) -> None:
    check_against_reference(tokenizer, tokenizer_file, text, side)


@given(texts=st.lists(TEXTS, min_size=1, max_size=5))
@settings(deadline=None)
def test_a_text_has_the_same_tokens_in_any_company(
    tokenizer: TextTokenizer, texts: list[str]
) -> None:
    assert tokenizer.encode(texts) == [tokenizer.encode([text])[0] for text in texts]


@given(text=st.text(st.characters()))
def test_cleaned_texts_are_unicode_and_others_stay(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode("utf-8")
    if not any(0xD800 <= ord(character) < 0xE000 for character in text):
        assert cleaned == text


@given(LENGTHS)
def test_padding_adds_only_zeros_up_to_the_next_bucket(lengths: list[int]) -> None:
    rows = [list(range(1, length + 1)) for length in lengths]
    input_ids, attention_mask = pad(rows)
    width = input_ids.shape[1]
    assert input_ids.shape == attention_mask.shape == (len(rows), width)
    assert width == min(bucket for bucket in BUCKET_LENGTHS if bucket >= max(lengths))
    for ids, mask, row in zip(input_ids, attention_mask, rows, strict=True):
        assert ids[: len(row)].tolist() == row
        assert not ids[len(row) :].any()
        assert mask.tolist() == [1] * len(row) + [0] * (width - len(row))


@given(LENGTHS, st.integers(1, 2000))
def test_slices_hold_every_row_once(lengths: list[int], most_tokens: int) -> None:
    slices = plan_slices(lengths, most_tokens)
    assert sorted(row for rows in slices for row in rows) == list(range(len(lengths)))
    assert all(
        len(rows) == 1 or sum(lengths[row] for row in rows) <= most_tokens for rows in slices
    )


@given(
    TEXTS,
    st.none() | st.integers(1, 10),
    st.none() | st.integers(1, 50),
    st.none() | st.floats(0, 1, exclude_min=True),
    st.integers(0, 2**32),
)
@settings(deadline=None)
def test_a_summary_is_made_of_slices_of_its_document(
    document: str, sentences: int | None, words: int | None, ratio: float | None, seed: int
) -> None:
    spans = split_sentences(document)
    if not spans:
        return
    rows = [Tokens([1, 2, 3], 3) for _ in spans]
    draw = np.random.default_rng(seed)
    outputs = draw.normal(size=(len(spans), 2)).astype(np.float32)
    request = SummarizeRequest(
        input=document, model="contracts", max_sentences=sentences, max_words=words, ratio=ratio
    )
    about = card("contracts", task="summarize", labels=["drop", "keep"])
    summary = summary_of(about, document, spans, rows, outputs, request)
    position = 0
    for sentence in summary.sentences:
        assert document[sentence.start : sentence.end] == sentence.text
        assert position <= sentence.start < sentence.end <= len(document)
        position = sentence.end
    assert len(summary.sentences) <= summary.source_sentences == len(spans)
    if words is None:
        assert summary.sentences
    else:
        assert sum(len(sentence.text.split()) for sentence in summary.sentences) <= words
    if sentences is not None:
        assert len(summary.sentences) <= sentences


@given(HEADER_VALUES)
def test_a_request_id_is_safe_in_a_header_and_a_log_line(value: str) -> None:
    request_id = request_id_of(request_with(REQUEST_ID, value))
    assert ACCEPTED_REQUEST_ID.fullmatch(request_id)
    assert request_id.isascii()
    assert not any(character.isspace() for character in request_id)
    if ACCEPTED_REQUEST_ID.fullmatch(value):
        assert request_id == value


@given(NUMBERS)
def test_a_deadline_is_a_positive_number_or_named_as_wrong(value: str) -> None:
    wrong: list[str] = []
    timeout_ms = None
    try:
        timeout_ms = _caller_timeout_ms(request_with(TIMEOUT, value))
    except InvalidFields as error:
        wrong = [field.field for field in error.fields]
    if timeout_ms is None:
        assert wrong == [f"header.{TIMEOUT}"]
        return
    assert 0 < timeout_ms < math.inf
    assert timeout_ms == float(value)
    assert "_" not in value


@given(
    st.none() | st.floats(0, 1e308, exclude_min=True),
    st.floats(0.001, 1e6),
    st.floats(0, 1e6),
)
def test_a_deadline_is_never_later_than_asked_for(
    asked_ms: float | None, default_ms: float, late_ms: float
) -> None:
    call = Call("id", caller_timeout_ms=asked_ms)
    call.set_class("interactive", default_ms, late_ms)
    assert call.timeout_ms <= default_ms
    if asked_ms is not None:
        assert call.timeout_ms <= asked_ms
        assert call.late_answer_ms == 0
    assert call.deadline >= call.started
