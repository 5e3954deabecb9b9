"""Sheets that people fill in: blinded, read back whatever a spreadsheet made of them, scored."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engines.errors import DataError, EngineError
from engines.rubric import CRITERIA, Key, read_key
from engines.rubric_score import score_sheets
from engines.rubric_sheet import Length, Sheet, write_sheet
from service.cli import app
from tests.engines.tiny_summarizer import SENTENCES, document, write_rows, write_summarizer

runner = CliRunner()
DOCUMENTS = 6


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rubric")
    write_summarizer(folder, "vectors")
    write_summarizer(folder, "marks", output="logits", seed=5)
    count = len(SENTENCES)
    texts = [document(*[(i * 2 + shift) % count for i in range(count)]) for shift in range(count)]
    rows: list[dict[str, Any]] = [{"text": text} for text in texts]
    write_rows(folder / "documents.jsonl", [*rows, {"text": SENTENCES[0]}, rows[0]])
    return folder


def asked(root: Path, out: Path, **changes: Any) -> Sheet:
    fields: dict[str, Any] = {
        "engines": (root / "vectors" / "1", root / "marks" / "1"),
        "data": root / "documents.jsonl",
        "documents": DOCUMENTS,
        "length": Length(max_sentences=2),
        "out": out,
        "seed": 1,
    }
    return Sheet(**(fields | changes))


def rows_of(out: Path) -> list[dict[str, str]]:
    path = out / "for-raters" / "sheet.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def fill(path: Path, out: Path, ratings: dict[str, Any], delimiter: str = ",") -> Path:
    """A sheet as a rater returns it: `ratings` by item, one for all criteria or a list."""
    rows = rows_of(out)
    for row in rows:
        given = ratings.get(row["item"], "")
        each = given if isinstance(given, list) else [given] * len(CRITERIA)
        row.update(zip(CRITERIA, map(str, each), strict=True))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_sheet_has_every_engine_of_every_document_and_tells_none(
    root: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    key = write_sheet(asked(root, out))
    assert read_key(out / "key.json") == key
    rows = rows_of(out)
    assert [row["item"] for row in rows] == list(key.items)
    pairs = [(item.row, name) for item in key.items.values() for name in item.engines]
    assert len(pairs) == len(set(pairs)) == 2 * DOCUMENTS
    assert {item.row for item in key.items.values()} <= set(range(1, len(SENTENCES) + 1))
    for path in (out / "for-raters").rglob("*"):
        if path.is_file():
            told = path.read_text(encoding="utf-8")
            assert "vectors" not in told
            assert "marks" not in told
    for row in rows:
        text = (out / "for-raters" / row["document"]).read_text(encoding="utf-8")
        assert row["summary"].lstrip("'")[:20] in text
        assert [row[each] for each in CRITERIA] == [""] * len(CRITERIA)


def test_the_seed_decides_documents_and_order(root: Path, tmp_path: Path) -> None:
    first = write_sheet(asked(root, tmp_path / "a"))
    assert write_sheet(asked(root, tmp_path / "b")) == first
    assert rows_of(tmp_path / "a") == rows_of(tmp_path / "b")
    others = [write_sheet(asked(root, tmp_path / f"{s}", seed=s)) for s in range(2, 6)]
    orders = {tuple(item.engines[0] for item in key.items.values()) for key in (first, *others)}
    assert len(orders) > 1
    assert not set(first.items) & set(others[0].items)


def test_engines_that_choose_alike_share_a_row(root: Path, tmp_path: Path) -> None:
    twin = write_summarizer(tmp_path, "twin")
    card = json.loads((twin / "card.json").read_text())
    (twin / "card.json").write_text(json.dumps(card | {"engine_sha256": "9" * 64}))
    key = write_sheet(asked(root, tmp_path / "out", engines=(root / "vectors" / "1", twin)))
    assert [item.engines for item in key.items.values()] == [("vectors", "twin")] * DOCUMENTS


def test_a_spreadsheet_runs_nothing_of_a_document(root: Path, tmp_path: Path) -> None:
    texts = [f"=SUM(A{i}) is due now to the seller. Short. Tiny words here." for i in range(3)]
    data = write_rows(tmp_path / "formulas.jsonl", [{"text": text} for text in texts])
    length = Length(max_words=8)
    write_sheet(asked(root, tmp_path / "out", data=data, documents=3, length=length))
    summaries = [row["summary"] for row in rows_of(tmp_path / "out")]
    assert any(summary.startswith("'=SUM") for summary in summaries)
    assert not any(summary.startswith("=") for summary in summaries)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"documents": 8}, "has 7 different documents"),
        ({"length": Length(max_words=1)}, "no sentence of the document in line"),
        ({"data": Path("missing.jsonl")}, "no data file"),
    ],
)
def test_a_sheet_that_cannot_be_made_leaves_nothing(
    root: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(EngineError, match=message):
        write_sheet(asked(root, tmp_path / "out", **changes))
    assert list(tmp_path.iterdir()) == []


def test_filled_sheets_are_never_overwritten(root: Path, tmp_path: Path) -> None:
    write_sheet(asked(root, tmp_path / "out"))
    with pytest.raises(EngineError, match="may hold filled sheets"):
        write_sheet(asked(root, tmp_path / "out"))
    same = (root / "marks" / "1", root / "marks" / "1")
    with pytest.raises(EngineError, match="same engine"):
        write_sheet(asked(root, tmp_path / "other", engines=same))


@pytest.fixture
def blinded(root: Path, tmp_path: Path) -> tuple[Path, Key]:
    out = tmp_path / "out"
    return out, write_sheet(asked(root, out))


def by_engine(key: Key, vectors: int, marks: int) -> dict[str, Any]:
    """The same rating for all summaries of an engine; those of both get that of `vectors`."""
    return {
        name: vectors if "vectors" in item.engines else marks for name, item in key.items.items()
    }


def test_scores_are_means_over_documents_of_the_raters_mean(
    blinded: tuple[Path, Key], tmp_path: Path
) -> None:
    out, key = blinded
    # Excel writes semicolons where the comma is the decimal sign.
    anna = fill(tmp_path / "anna.csv", out, by_engine(key, 5, 2), delimiter=";")
    ben = fill(tmp_path / "ben.csv", out, by_engine(key, 4, 2))
    found = score_sheets(out / "key.json", [anna, ben])
    alone = [item for item in key.items.values() if item.engines == ("marks",)]
    shared = DOCUMENTS - len(alone)
    assert alone, "the tiny engines must differ somewhere"
    for criterion in CRITERIA:
        assert found["scores"]["vectors"][criterion]["mean"] == pytest.approx(4.5)
        expected = (2 * len(alone) + 4.5 * shared) / DOCUMENTS
        assert found["scores"]["marks"][criterion]["mean"] == pytest.approx(expected)
        difference = found["differences"][criterion]
        assert difference["mean"] == pytest.approx(4.5 - expected)
        assert found["agreement"][criterion]["items_rated_twice"] == len(key.items)
    assert [rater["name"] for rater in found["raters"]] == ["anna", "ben"]
    assert found["missing"] == []


def test_what_is_missing_is_named_and_nothing_else_is_lost(
    blinded: tuple[Path, Key], tmp_path: Path
) -> None:
    out, key = blinded
    ratings = by_engine(key, 5, 2)
    names = list(key.items)
    ratings[names[2]] = [3, "", 4]
    anna = fill(tmp_path / "anna.csv", out, ratings)
    lines = anna.read_text(encoding="utf-8").splitlines(keepends=True)
    anna.write_text("".join(lines[:-1]), encoding="utf-8")
    found = score_sheets(out / "key.json", [anna])
    first, *rest = found["missing"]
    assert first == {"file": str(anna), "row": 4, "item": names[2], "column": "coverage"}
    assert [(field["row"], field["item"]) for field in rest] == [(None, names[-1])] * 3
    assert found["raters"][0]["ratings"] == len(CRITERIA) * (len(names) - 1) - 1
    assert found["agreement"]["coverage"]["alpha"] is None
    assert found["agreement"]["coverage"]["why_none"] == "no summary was rated by two people"


def test_every_wrong_field_is_named_by_file_row_and_column(
    blinded: tuple[Path, Key], tmp_path: Path
) -> None:
    out, key = blinded
    names = list(key.items)
    ratings: dict[str, Any] = dict.fromkeys(names, 3)
    ratings |= {names[0]: [6, 3, 3], names[1]: [3, "good", 3], names[2]: [3, 3, "0"]}
    anna = fill(tmp_path / "anna.csv", out, ratings)
    ben = fill(tmp_path / "ben.csv", out, dict.fromkeys(names[:1], "2.5"))
    with pytest.raises(DataError) as caught:
        score_sheets(out / "key.json", [anna, ben])
    for told in (
        f"{anna}, row 2, column consistency: '6'",
        f"{anna}, row 3, column coverage: 'good'",
        f"{anna}, row 4, column concision: '0'",
        f"{ben}, row 2, column consistency: '2.5'",
    ):
        assert told in str(caught.value)


def test_a_sheet_of_other_summaries_or_twice_the_same_is_refused(
    root: Path, blinded: tuple[Path, Key], tmp_path: Path
) -> None:
    out, key = blinded
    other = tmp_path / "other"
    other_key = write_sheet(asked(root, other, seed=9))
    wrong = fill(tmp_path / "wrong.csv", other, dict.fromkeys(other_key.items, 3))
    with pytest.raises(DataError, match="is not in the key"):
        score_sheets(out / "key.json", [wrong])
    anna = fill(tmp_path / "anna.csv", out, dict.fromkeys(key.items, 3))
    with pytest.raises(DataError, match="named twice"):
        score_sheets(out / "key.json", [anna, anna])
    lines = anna.read_text(encoding="utf-8").splitlines(keepends=True)
    anna.write_text("".join([*lines, lines[1]]), encoding="utf-8")
    with pytest.raises(DataError, match="stands in row 2 already"):
        score_sheets(out / "key.json", [anna])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column item"),
        (b"item,consistency,coverage\n", "no column concision"),
        (b'item,consistency,coverage,concision\n"open,1,1,1\n', "is not CSV"),
        (b"item,consistency,coverage,concision\n", "no field is filled in"),
        (b"PK\x03\x04\x81\x8d\x00", "save the sheet as CSV"),
    ],
)
def test_what_is_no_sheet_says_so(
    blinded: tuple[Path, Key], tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "sheet.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        score_sheets(blinded[0] / "key.json", [path])


def test_the_key_must_be_one(blinded: tuple[Path, Key], tmp_path: Path) -> None:
    sheet = blinded[0] / "for-raters" / "sheet.csv"
    with pytest.raises(DataError, match="give the key first"):
        score_sheets(sheet, [sheet])
    with pytest.raises(DataError, match="cannot read the key"):
        score_sheets(tmp_path / "none.json", [sheet])


def test_comments_in_another_encoding_come_through(
    blinded: tuple[Path, Key], tmp_path: Path
) -> None:
    out, key = blinded
    anna = fill(tmp_path / "anna.csv", out, dict.fromkeys(key.items, 3))
    text = anna.read_text(encoding="utf-8").replace("3,3,3,", "3,3,3,Für wen?", 1)
    anna.write_bytes(text.encode("cp1252"))
    (comment,) = score_sheets(out / "key.json", [anna])["comments"]
    assert comment["comment"] == "Für wen?"
    assert comment["engines"] == list(next(iter(key.items.values())).engines)


def test_from_the_command_line_to_the_page(root: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "out", tmp_path / "report"
    arguments = ["vectors", "--against", "marks", "--data", str(root / "documents.jsonl")]
    arguments += ["--documents", "4", "--sentences", "1", "--out", str(out)]
    arguments += ["--repository", str(root)]
    done = runner.invoke(app, ["engines", "rubric", "sheet", *arguments, "--json"])
    assert done.exit_code == 0, done.stderr
    items = json.loads(done.stdout)["items"]
    sheets = []
    for name, shift in (("anna", 0), ("ben", 1)):
        ratings = {item: 1 + (number + shift) % 5 for number, item in enumerate(items)}
        sheets.append(fill(tmp_path / f"{name}.csv", out, ratings))
    arguments = [str(out / "key.json"), *map(str, sheets), "--report", str(report)]
    done = runner.invoke(app, ["engines", "rubric", "score", *arguments])
    assert done.exit_code == 0, done.stderr
    assert "alpha" in done.stdout
    page = (report / "rubric.html").read_text(encoding="utf-8")
    result = json.loads((report / "rubric.json").read_text(encoding="utf-8"))
    for scores in result["scores"].values():
        assert f"{scores['coverage']['mean']:.2f}" in page
    assert page.count("<svg") == len(CRITERIA)
    again = runner.invoke(
        app, ["engines", "rubric", "sheet", "nobody", *["--data", "x"], "--out", "y"]
    )
    assert again.exit_code == 1
    assert "no engine nobody" in again.stderr
