"""A process that stepped back runs last of all, and the one that started it does not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from engines.spare_time import SESSION_NICENESS

PROGRAM = """
import os
from engines.spare_time import SESSION_NICENESS, step_back_entirely
step_back_entirely()
print(os.sched_getscheduler(0) == os.SCHED_IDLE)
print(SESSION_NICENESS.read_text().split()[-1] if SESSION_NICENESS.exists() else "none")
"""


@pytest.mark.parametrize("own_session", [True, False])
def test_a_process_steps_back_with_its_own_session_only(own_session: bool) -> None:
    def ours() -> str:
        return SESSION_NICENESS.read_text().split()[-1] if SESSION_NICENESS.exists() else "none"

    before = ours()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        start_new_session=own_session,
        capture_output=True,
        text=True,
        check=True,
    )
    policy, niceness = done.stdout.split()
    assert policy == "True"
    assert niceness == (before if before == "none" or not own_session else "19")
    assert ours() == before
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
