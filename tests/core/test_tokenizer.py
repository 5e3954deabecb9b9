import numpy as np
import pytest

from core.tokenizer import TextTokenizer, clean, pad
from tests.tiny import write_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    write_tokenizer(path)
    return TextTokenizer(path, max_tokens=8)


def test_the_files_own_padding_is_off(tokenizer: TextTokenizer) -> None:
    assert len(tokenizer.encode(["good film"])[0].ids) == 4


def test_cutting_keeps_both_special_tokens_and_the_asked_side(tokenizer: TextTokenizer) -> None:
    text = "good " * 6 + "bad " * 6
    whole = tokenizer.encode(["good", "bad"])
    good, bad = whole[0].ids[1], whole[1].ids[1]
    first, last = whole[0].ids[0], whole[0].ids[-1]
    right = tokenizer.encode([text], "right")[0]
    left = tokenizer.encode([text], "left")[0]
    assert right.ids == [first, *[good] * 6, last]
    assert left.ids == [first, *[bad] * 6, last]
    assert right.truncated
    assert right.source_tokens == 14


def test_a_text_that_just_fits_is_not_cut(tokenizer: TextTokenizer) -> None:
    tokens = tokenizer.encode(["good " * 6])[0]
    assert len(tokens.ids) == 8
    assert not tokens.truncated


@pytest.mark.parametrize(
    "text", ["", " \t", "\0", "\ud800", "a\udfffb", "😀" * 10_000, "x" * 1_000_000, "שלום עולם"]
)
def test_strange_texts_become_tokens(tokenizer: TextTokenizer, text: str) -> None:
    tokens = tokenizer.encode([text])[0]
    assert 2 <= len(tokens.ids) <= 8


def test_clean_replaces_lone_surrogates_only() -> None:
    assert clean("a\ud800b😀\udc00") == "a\ufffdb😀\ufffd"
    assert clean("\ud83d\ude00") == "😀"


def test_pad_to_the_bucket_of_the_longest_row() -> None:
    input_ids, attention_mask = pad([[5, 6], [7] * 17])
    assert input_ids.shape == attention_mask.shape == (2, 24)
    assert input_ids.dtype == attention_mask.dtype == np.int64
    assert attention_mask.sum(axis=1).tolist() == [2, 17]
    assert input_ids[0].tolist() == [5, 6, *[0] * 22]
