import gzip
import json
from pathlib import Path

import pytest

from engines.data import LabelledText, hold_out, hold_out_sentences, read_labelled
from engines.errors import DataError

LABELS = ("negative", "positive")


def write(path: Path, rows: list[object]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(row)}\n" for row in rows)
    return path


def test_rows_become_texts_with_label_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.gz", [{"text": "x", "label": "positive", "domain": "books"}])
    assert read_labelled(path, LABELS) == [LabelledText("x", 1)]


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({"text": "x", "label": "neutral"}, "'label' is 'neutral'"),
        ({"text": "x"}, "'label' is None"),
        ({"label": "positive"}, "'text'"),
        ({"text": "  ", "label": "positive"}, "'text'"),
        ({"text": 5, "label": "positive"}, "'text'"),
        ([], "expected an object"),
    ],
)
def test_a_wrong_row_is_named_by_line_and_field(tmp_path: Path, row: object, named: str) -> None:
    path = write(tmp_path / "a.jsonl.gz", [{"text": "good", "label": "positive"}, row])
    with pytest.raises(DataError) as error:
        read_labelled(path, LABELS)
    assert named in str(error.value)
    assert ":2:" in str(error.value)


def test_broken_json_and_missing_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": \n', encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.jsonl:1: not JSON"):
        read_labelled(path, LABELS)
    with pytest.raises(DataError, match="--data"):
        read_labelled(tmp_path / "none.jsonl.gz", LABELS)


def test_a_held_out_text_is_never_trained_on() -> None:
    texts = [LabelledText(f"text {i % 80}", i % 2) for i in range(200)]
    train, validation = hold_out(texts, 0.25, seed=1)
    assert len(validation) == 20
    assert not {item.text for item in train} & {item.text for item in validation}
    assert hold_out(texts, 0.25, seed=1) == (train, validation)


def test_a_held_out_sentence_takes_its_phrases_along() -> None:
    sentences = [f"the {word} film was quite a good film" for word in ("first", "second", "third")]
    phrases = ["second film", "the second film", "first film was quite", "a fine day"]
    texts = [LabelledText(text, 1) for text in (*sentences, *phrases, "good film", "was quite a")]
    train, validation = hold_out_sentences(texts, 1, least_words=6, seed=3)
    (held,) = validation
    assert held.text in sentences
    assert not [item for item in train if item.text in held.text]
    assert {"a fine day"} <= {item.text for item in train}
    assert len(train) < len(texts) - 1


def test_a_phrase_is_never_held_out_as_a_sentence() -> None:
    texts = [LabelledText("one two three four", 0), LabelledText("zero one two three four five", 1)]
    _, validation = hold_out_sentences(texts, 2, least_words=4, seed=0)
    assert [item.text for item in validation] == ["zero one two three four five"]
