from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from engines.errors import DataError
from engines.labelled_file import Example, read_examples

LABELS = ("no", "yes")


def csv_file(path: Path, *rows: str, header: str = "text,label") -> Path:
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


def test_csv_and_json_lines_say_the_same(tmp_path: Path) -> None:
    rows = [("one, with a comma", "yes"), ("two", "no")] * 10
    plain = csv_file(tmp_path / "a.csv", *(f'"{text}",{label}' for text, label in rows))
    lines = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
    (tmp_path / "a.jsonl").write_text(lines)
    expected = [Example(text, (LABELS.index(label),)) for text, label in rows]
    for path in (plain, tmp_path / "a.jsonl"):
        packed = path.with_name(f"{path.name}.gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        assert read_examples(path, LABELS, "single_label") == expected
        assert read_examples(packed, LABELS, "single_label") == expected


def test_an_index_is_a_label_too(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "a.csv", *["text,1"] * 20)
    assert read_examples(path, LABELS, "single_label")[0].labels == (1,)


def test_several_labels_in_a_field_or_a_list(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "a.csv", *["text,no|yes", "text,"] * 10)
    assert [e.labels for e in read_examples(path, LABELS, "multi_label")[:2]] == [(0, 1), ()]
    (tmp_path / "a.jsonl").write_text('{"text": "x", "label": ["yes"]}\n' * 20)
    assert read_examples(tmp_path / "a.jsonl", LABELS, "multi_label")[0].labels == (1,)


def test_a_regressions_labels_are_not_read(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "a.csv", *["text,3.5"] * 20)
    assert read_examples(path, ("score",), "regression")[0] == Example("text", ())


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("text,maybe", r"a\.csv:3: field 'label' is 'maybe', not one of no, yes"),
        ("text,2", "field 'label' is '2'"),
        ("text", "field 'label' is None"),
        ("  ,yes", r"a\.csv:3: field 'text' must be"),
    ],
)
def test_a_wrong_field_is_named_with_its_line(tmp_path: Path, row: str, said: str) -> None:
    path = csv_file(tmp_path / "a.csv", "text,yes", row)
    with pytest.raises(DataError, match=said):
        read_examples(path, LABELS, "single_label")


def test_files_that_are_missing_short_or_not_csv(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data file"):
        read_examples(tmp_path / "none.csv", LABELS, "single_label")
    with pytest.raises(DataError, match="has 1 texts; at least 20"):
        read_examples(csv_file(tmp_path / "a.csv", "text,yes"), LABELS, "single_label")
    wrong = csv_file(tmp_path / "b.csv", "text,yes", header="text,class")
    with pytest.raises(DataError, match="no column label"):
        read_examples(wrong, LABELS, "single_label")
    (tmp_path / "c.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(DataError, match=r"c\.csv\.gz is not CSV"):
        read_examples(tmp_path / "c.csv.gz", LABELS, "single_label")
