"""Processes below one, and what is left of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from chaos.processes import descendants_of, program_of, still_running
from chaos.trial import leftovers

PARENT = """
import subprocess, sys, time
child = subprocess.Popen(["sleep", "60"])
print(child.pid, flush=True)
sys.stdin.read()
child.kill()
"""


def test_what_runs_below_is_found_and_is_left_over_until_it_ends() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdin is not None
        child = int(parent.stdout.readline())
        assert descendants_of(parent.pid) == {child}
        assert program_of(child) == "sleep"
        assert leftovers({child}, list, seconds=0.1) == [f"process {child}"]
        parent.stdin.close()
        # Killed and not collected by its parent, which ends just then, counts as ended too.
        assert leftovers({child, parent.pid}, list, seconds=10) == []
    assert still_running({child}) == set()


def test_a_file_that_does_not_go_is_left_over(tmp_path: Path) -> None:
    path = tmp_path / "region"
    path.touch()

    def files() -> list[str]:
        return [str(each) for each in tmp_path.iterdir()]

    assert leftovers(set(), files, seconds=0.1) == [str(path)]
    path.unlink()
    assert leftovers(set(), files, seconds=0.1) == []
