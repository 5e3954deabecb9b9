"""A service of one's own for a load test."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.errors import LoadTestError
from loadtest.stack import running_service


def test_a_service_that_cannot_start_shows_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUB50_REPOSITORY", str(tmp_path / "nothing here"))
    with (
        pytest.raises(LoadTestError, match="nothing here"),
        running_service(tmp_path / "report"),
    ):
        pytest.fail("it started")
