"""What people read when a command on engines fails, whatever failed."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from engines.commands import carry_out
from engines.errors import DataError


def raises(error: Exception) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DataError("data.csv:3: field 'text' is [blank]"), "data.csv:3: field 'text' is [blank]"),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/model.onnx"),
            "No space left on device: runs/model.onnx",
        ),
        (OSError("cannot lock"), "cannot lock"),
    ],
)
def test_an_error_is_a_line_and_a_status(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        carry_out(raises(error))
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == f"error: {said}\n"


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        carry_out(raises(ZeroDivisionError()))


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        carry_out((tmp_path / "nothing.csv").read_text)
    assert "No such file or directory" in capsys.readouterr().err
