from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from engines.data import LabelledText
from engines.dataset import Dataset, read_dataset
from engines.errors import DataError

Pair = tuple[str, Any]


def pairs(count: int, first: int = 0, labels: tuple[Any, ...] = ("no", "yes")) -> list[Pair]:
    return [(f"text, number {i}", labels[i % len(labels)]) for i in range(first, first + count)]


def csv_file(path: Path, rows: list[Pair], header: str = "text,label") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [header, *(f'"{text}",{label}' for text, label in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def jsonl_file(path: Path, rows: list[Pair]) -> Path:
    lines = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
    path.write_text(lines, encoding="utf-8")
    return path


def packed(path: Path) -> Path:
    """The same file gzipped, in the same folder."""
    result = path.with_name(f"{path.name}.gz")
    result.write_bytes(gzip.compress(path.read_bytes()))
    return result


def noted(dataset: Dataset, part: str) -> str:
    (note,) = [note for note in dataset.notes if part in note]
    return note


def test_one_file_in_any_form_says_the_same(tmp_path: Path) -> None:
    rows = pairs(60)
    plain = [csv_file(tmp_path / "a.csv", rows), jsonl_file(tmp_path / "a.jsonl", rows)]
    read = [read_dataset(path) for path in [*plain, *map(packed, plain)]]
    assert read[0].labels == ("no", "yes")
    for dataset in read:
        assert (dataset.train, dataset.validation) == (read[0].train, read[0].validation)
    assert list(read[0].checksums) == ["a.csv"]


def test_a_share_of_each_label_is_held_back_where_there_is_no_validation(tmp_path: Path) -> None:
    rows = pairs(200) + [(f"rare {i}", "rare") for i in range(6)]
    path = csv_file(tmp_path / "a.csv", rows)
    dataset = read_dataset(path)
    assert [item.label for item in dataset.validation].count(1) == 1
    assert len(dataset.validation) == 21
    assert {i.text for i in dataset.train}.isdisjoint(i.text for i in dataset.validation)
    assert len(dataset.train) == 185
    assert "21 of 206 training texts held back" in noted(dataset, "no validation split")
    assert noted(dataset, "has only") == "label 'rare' has only 6 training texts"
    assert read_dataset(path) == dataset
    assert read_dataset(path, seed=51).validation != dataset.validation
    assert len(read_dataset(path, validation_share=0.5).validation) == 103


def test_a_folder_has_its_splits_by_whatever_name_they_have(tmp_path: Path) -> None:
    for name in ("validation", "valid", "val", "dev"):
        folder = tmp_path / name
        csv_file(folder / "train.csv", pairs(60))
        packed(jsonl_file(folder / f"{name}.jsonl", pairs(20, first=100))).with_name(
            f"{name}.jsonl"
        ).unlink()
        csv_file(folder / "test.csv", pairs(10, first=200))
        (folder / "README.md").write_text("about it")
        dataset = read_dataset(folder)
        sizes = (len(dataset.train), len(dataset.validation), len(dataset.test))
        assert sizes == (60, 20, 10)
        assert list(dataset.checksums) == ["train.csv", f"{name}.jsonl.gz", "test.csv"]
        assert dataset.notes == ()


def test_a_spreadsheets_mark_and_other_columns_do_no_harm(tmp_path: Path) -> None:
    rows = "".join(f"{i},some text {i},{'ab'[i % 2]}\n" for i in range(20))
    (tmp_path / "a.csv").write_text(f"\ufeffreview,body,stars\n{rows}", encoding="utf-8")
    dataset = read_dataset(tmp_path / "a.csv", text_column="body", label_column="stars")
    assert dataset.labels == ("a", "b")
    assert read_dataset(tmp_path / "a.csv", text_column="body", label_column="stars") == dataset
    with pytest.raises(DataError, match=r"text.*those there are review, body, stars.*--text-co"):
        read_dataset(tmp_path / "a.csv")


def test_numbers_are_labels_with_or_without_names(tmp_path: Path) -> None:
    stars = jsonl_file(tmp_path / "a.jsonl", pairs(60, labels=(1, 2, 10)))
    dataset = read_dataset(stars)
    assert dataset.labels == ("1", "2", "10")
    first = next(item for item in dataset.train if item.text == "text, number 1")
    assert first.label == 1
    assert "--labels" in noted(dataset, "numbers")
    numbered = jsonl_file(tmp_path / "b.jsonl", pairs(60, labels=(0, 1)))
    assert read_dataset(numbered, labels=["yes", "no"]).labels == ("yes", "no")
    named = csv_file(tmp_path / "c.csv", pairs(60))
    dataset = read_dataset(named, labels=["yes", "no"])
    assert LabelledText("text, number 1", 0) in dataset.train + dataset.validation
    with pytest.raises(DataError, match=r"a\.jsonl:3: field 'label' is 10, not one of x, y"):
        read_dataset(stars, labels=["x", "y", "z"])


def test_repeats_are_dropped_and_contradictions_left_out(tmp_path: Path) -> None:
    rows = [
        *pairs(100),
        ("TEXT,  number 2", "no"),
        ("text, number 2", "no"),
        ("Text, number 3", "no"),
    ]
    dataset = read_dataset(csv_file(tmp_path / "a.csv", rows))
    assert len(dataset.train) + len(dataset.validation) == 99
    assert noted(dataset, "repeated") == "train: 2 rows repeated an earlier one and were left out"
    found = noted(dataset, "different labels")
    assert "1 text with different labels" in found
    assert "a.csv:5 says 'yes', a.csv:104 'no'" in found
    assert "text, number 3" not in {item.text for item in dataset.train + dataset.validation}


def test_many_contradictions_are_an_error(tmp_path: Path) -> None:
    rows = pairs(60) + [(text, "maybe") for text, _ in pairs(10)]
    with pytest.raises(DataError, match=r"10 texts with different labels.*more than 10 %"):
        read_dataset(csv_file(tmp_path / "a.csv", rows))


def test_what_is_judged_on_is_not_trained_on(tmp_path: Path) -> None:
    train = [*pairs(60), ("Text,  number 101", "yes"), ("text, number 201", "yes")]
    csv_file(tmp_path / "train.csv", train)
    csv_file(tmp_path / "validation.csv", [*pairs(20, first=100), ("text, number 203", "yes")])
    csv_file(tmp_path / "test.csv", pairs(20, first=200))
    dataset = read_dataset(tmp_path)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (60, 20, 20)
    assert noted(dataset, "also in validation").endswith("out of train: train.csv:62")
    assert noted(dataset, "train: 1 text also in test")
    assert noted(dataset, "validation: 1 text also in test")


def test_a_test_that_is_a_copy_of_train_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    csv_file(tmp_path / "train.csv", pairs(60))
    csv_file(tmp_path / "test.csv", pairs(60))
    with pytest.raises(DataError, match=r"label 'no' has 0 training texts.*60 texts also in test"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("text", "yes"), ("  ", "no")], r"a\.csv:3: field 'text' must be a string"),
        ([("text", "yes"), ("other", "")], r"a\.csv:3: field 'label' is ''"),
        (pairs(30, labels=("yes",)), "only label is 'yes'"),
        ([*pairs(30), ("other", "rare")], "label 'rare' has 1 training text; it needs at least 5"),
        ([("text", "yes,no")], r"a\.csv:2: more fields than columns"),
        ([], "no text to train on"),
        (pairs(1001, labels=tuple(range(1001))), r"1,001 different values.*--label-column"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, rows: list[Pair], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_dataset(csv_file(tmp_path / "a.csv", rows))


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (["yes"], "is a list; a text has one label"),
        (1.5, "is 1.5, not a label's name or number"),
        (None, "is None, not a label's"),
    ],
)
def test_a_label_is_a_name_or_a_number(tmp_path: Path, label: Any, said: str) -> None:
    path = jsonl_file(tmp_path / "a.jsonl", [*pairs(4), ("text", label)])
    with pytest.raises(DataError, match=rf"a\.jsonl:5: field 'label' {said}"):
        read_dataset(path)


def test_a_label_that_was_never_learned_cannot_be_asked_for(tmp_path: Path) -> None:
    csv_file(tmp_path / "train.csv", pairs(60))
    csv_file(tmp_path / "dev.csv", [("other", "yes"), ("another", "maybe")])
    with pytest.raises(DataError, match=r"dev\.csv:3: the label is 'maybe', which no training"):
        read_dataset(tmp_path)


def test_a_test_split_without_its_answers_is_not_used(tmp_path: Path) -> None:
    jsonl_file(tmp_path / "train.jsonl", pairs(60, labels=(0, 1)))
    jsonl_file(tmp_path / "test.jsonl", pairs(20, first=100, labels=(-1,)))
    dataset = read_dataset(tmp_path)
    assert dataset.test == []
    assert noted(dataset, "every label is -1")


def test_files_that_are_not_there_or_not_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data at"):
        read_dataset(tmp_path / "nowhere")
    csv_file(tmp_path / "mine.csv", pairs(10))
    with pytest.raises(DataError, match=r"no train split.*There: mine\.csv"):
        read_dataset(tmp_path)
    (tmp_path / "a.xlsx").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.xlsx is not a data file"):
        read_dataset(tmp_path / "a.xlsx")
    cut = packed(jsonl_file(tmp_path / "a.jsonl", pairs(10)))
    cut.write_bytes(cut.read_bytes()[:40])
    with pytest.raises(DataError, match=r"a\.jsonl\.gz is not JSON lines"):
        read_dataset(tmp_path / "a.jsonl.gz")
    with pytest.raises(DataError, match=r"--validation-share is 0\.9"):
        read_dataset(tmp_path / "mine.csv", validation_share=0.9)


def test_two_data_sets_in_a_folder_are_told_apart_by_the_user(tmp_path: Path) -> None:
    for name in ("one", "two"):
        csv_file(tmp_path / name / "train.csv", pairs(60))
    with pytest.raises(DataError, match=r"several data sets; name one: .*one, .*two"):
        read_dataset(tmp_path)
    jsonl_file(tmp_path / "one/train.jsonl", pairs(60))
    with pytest.raises(DataError, match=r"two train splits, train\.csv and train\.jsonl"):
        read_dataset(tmp_path / "one")


def table(rows: list[Pair]) -> Any:
    """As Hugging Face's library writes it: numbered labels, their names in the metadata."""
    pyarrow = pytest.importorskip("pyarrow")
    label = {"names": ["no", "yes"], "_type": "ClassLabel"}
    features = {"text": {"dtype": "string", "_type": "Value"}, "label": label}
    numbers = [("no", "yes").index(label) for _, label in rows]
    columns = {"id": list(range(len(rows))), "text": [text for text, _ in rows], "label": numbers}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pyarrow.table(columns).replace_schema_metadata(metadata)


def test_a_folder_of_parquet_files(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "data").mkdir()
    for part in range(2):
        path = tmp_path / f"data/train-0000{part}-of-00002.parquet"
        parquet.write_table(table(pairs(30, first=30 * part)), path)
    parquet.write_table(
        table(pairs(20, first=100)), tmp_path / "data/validation-00000-of-00001.parquet"
    )
    dataset = read_dataset(tmp_path)
    assert dataset.labels == ("no", "yes")
    assert dataset.train[:2] == [
        LabelledText("text, number 0", 0),
        LabelledText("text, number 1", 1),
    ]
    assert (len(dataset.train), len(dataset.validation)) == (60, 20)
    assert next(iter(dataset.checksums)) == "data/train-00000-of-00002.parquet"
    with pytest.raises(DataError, match=r"no column body; those there are id, text, label"):
        read_dataset(tmp_path, text_column="body")
    (tmp_path / "data/train-00000-of-00002.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match="is not a Parquet file"):
        read_dataset(tmp_path)


def test_what_save_to_disk_leaves(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    for split, first in (("train", 0), ("test", 100)):
        (tmp_path / split).mkdir()
        (tmp_path / split / "state.json").write_text("{}")
        written = table(pairs(60, first=first))
        with (
            (tmp_path / split / "data-00000-of-00001.arrow").open("wb") as file,
            pyarrow.ipc.new_stream(file, written.schema) as stream,
        ):
            stream.write_table(written)
    dataset = read_dataset(tmp_path)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (54, 6, 60)
    assert read_dataset(tmp_path / "train").train == dataset.train
    (tmp_path / "train/data-00000-of-00001.arrow").write_bytes(b"nothing")
    with pytest.raises(DataError, match="is not an Arrow stream"):
        read_dataset(tmp_path)


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"sub50\[datasets\]"):
        read_dataset(tmp_path / "a.parquet")
