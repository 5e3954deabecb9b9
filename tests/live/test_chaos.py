"""A trial against the real stack: its figures are those of what was done to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.faults import all_faults
from chaos.trial import Conditions, run_trial

pytestmark = pytest.mark.live


def test_a_killed_service_is_noticed_never_comes_back_and_leaves_nothing(tmp_path: Path) -> None:
    conditions = Conditions(20, before_seconds=2, after_seconds=2)
    row = run_trial(all_faults()["kill-api"], conditions, tmp_path)
    assert row.sent == row.right + row.wrong + row.refused + row.late + row.failed
    assert row.right > 5
    assert row.wrong == 0
    assert row.failed > 10
    assert row.notice_seconds is not None
    assert row.notice_seconds < 1
    assert row.recover_seconds is None
    assert row.left == []
    assert any("ConnectionRefused" in why for why, _ in row.failures)
