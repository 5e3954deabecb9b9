"""Files that are replaced whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.whole_file import whole_file


def test_what_was_written_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("before")
    with whole_file(path) as partial:
        partial.write_text("after")
        assert path.read_text() == "before", "until all is written"
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_what_fails_half_way_leaves_the_file_that_was_there(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "report.json"
    path.write_text("before")

    def write() -> None:
        with whole_file(path) as partial:
            partial.write_text("aft")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "none" / "report.json"
    with pytest.raises(FileNotFoundError), whole_file(path) as partial:
        partial.write_text("after")
