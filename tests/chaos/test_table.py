"""The table, and its place in a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chaos.__main__ import RELIABILITY, SECTION
from chaos.errors import ChaosError
from chaos.faults import all_faults
from chaos.row import Row
from chaos.table import COLUMNS, cells, markdown, read_section, write_section

ROW = Row("kill-triton", 1500, 1393, 0, 90, 7, 10, 3, 2, 0.24, None, 0.999, None, ["process 7"])


def test_a_row_has_a_cell_for_each_column() -> None:
    assert dict(zip(COLUMNS, cells(ROW), strict=True)) == {
        "fault": "kill-triton",
        "sent": "1,500",
        "right": "1,393",
        "wrong": "0",
        "refused": "90",
        "late": "7",
        "failed": "10",
        "in flight (failed)": "3 (2)",
        "s to notice": "0.2",
        "s to recover": "never",
        "in time before": "99.9 %",
        "in time after": "–",
        "left over": "1",
    }


def test_rows_of_faults_that_were_not_tried_again_stay() -> None:
    other = replace(ROW, fault="kill-stub")
    first = markdown([ROW, other], "yesterday")
    assert len(first.splitlines()) == 4
    lines = markdown([replace(ROW, sent=7)], "today", first).splitlines()
    assert len(lines) == 4
    assert lines[:3] == [*first.splitlines()[:2], first.splitlines()[2]]
    assert lines[3].startswith("| kill-triton | 7 |")
    assert lines[3].endswith("| today |")
    assert len(markdown([ROW], "today", "| other | columns |\n| --- | --- |\n| x | 1 |")) < len(
        first
    )


def test_a_section_is_read_as_it_was_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- faults -->\n<!-- end of faults -->\nb\n")
    write_section(page, "faults", "text")
    assert read_section(page, "faults").strip() == "text"
    assert read_section(page, "other") == ""


def test_a_section_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- faults -->\nold\n<!-- end of faults -->\nb\n")
    for text in ("new", "newer"):
        write_section(page, "faults", text)
    assert page.read_text() == "a\n<!-- faults -->\n\nnewer\n\n<!-- end of faults -->\nb\n"
    with pytest.raises(ChaosError, match="<!-- other -->"):
        write_section(page, "other", "text")


def test_the_page_has_the_section() -> None:
    text = RELIABILITY.read_text(encoding="utf-8")
    assert f"<!-- {SECTION} -->\n" in text
    assert f"<!-- end of {SECTION} -->" in text


def test_faults_have_names_that_can_be_typed() -> None:
    faults = all_faults()
    assert "kill-triton" in faults
    for name, fault in faults.items():
        assert name == fault.name
        assert name.replace("-", "").isalnum()
        assert fault.__doc__
