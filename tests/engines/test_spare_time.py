"""A process that stepped back runs last of all, and the one that started it does not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from engines.spare_time import LOWEST, SESSION_NICENESS

NOT_GROUPED = "this system does not share processor time out among sessions"

PROGRAM = """
import os
from engines.spare_time import SESSION_NICENESS, step_back_entirely
step_back_entirely()
print(os.sched_getscheduler(0) == os.SCHED_IDLE)
print(SESSION_NICENESS.read_text() if SESSION_NICENESS.exists() else "")
"""


def stepped_back(*, own_session: bool) -> tuple[str, str]:
    """Whether a process that stepped back is idle, and how nice its session is, "" if no group."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        start_new_session=own_session,
        capture_output=True,
        text=True,
        check=True,
    )
    idle, _, niceness = done.stdout.partition("\n")
    return idle, niceness_in(niceness)


def niceness_in(session: str) -> str:
    """The last word of e.g. "/autogroup-12 nice 19"; the file is empty for one without a group."""
    return session.split()[-1] if session.strip() else ""


def ours() -> str:
    return niceness_in(SESSION_NICENESS.read_text() if SESSION_NICENESS.exists() else "")


@pytest.mark.parametrize("own_session", [True, False])
def test_a_process_steps_back_and_the_one_that_started_it_does_not(own_session: bool) -> None:
    before = ours()
    idle, _ = stepped_back(own_session=own_session)
    assert idle == "True"
    assert ours() == before
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.mark.parametrize("own_session", [True, False])
def test_its_session_steps_back_where_it_leads_one(own_session: bool) -> None:
    before = ours()
    if not before:
        pytest.skip(NOT_GROUPED)
    _, niceness = stepped_back(own_session=own_session)
    assert niceness == (LOWEST if own_session else before)
