"""An engine that loads beside others that serve takes only the time that these leave over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.triton.backends import SHARED, sub50_aside

GENTLE = """
import json, os, sys
import sub50_aside
sub50_aside.import_first("colorsys")
inside = sub50_aside.in_spare_time(lambda: os.sched_getscheduler(0))
try:
    sub50_aside.in_spare_time(lambda: 1 / 0)
except ZeroDivisionError:
    raised = True
print(json.dumps([inside, os.sched_getscheduler(0), "colorsys" in sys.modules, raised]))
"""

ON_ONE_CORE = """
import json, os, threading
import sub50_aside
ended, started = threading.Event(), []
def work():
    started.append(threading.Thread(target=ended.wait))
    started[0].start()
    return [len(os.sched_getaffinity(each)) for each in (0, started[0].native_id)]
inside = sub50_aside.on_one_core(work)
after = [len(os.sched_getaffinity(each)) for each in (0, started[0].native_id)]
ended.set()
print(json.dumps([*inside, *after]))
"""


def printed(program: str, folder: Path, marked: bool) -> Any:
    """What a program prints, run where a backend's modules lie."""
    if marked:
        (folder / sub50_aside.MARKER).touch()
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=SHARED[0].parent,
        env=os.environ | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("marked", [True, False])
def test_work_waits_for_a_core_that_nobody_wants(tmp_path: Path, marked: bool) -> None:
    inside = os.SCHED_IDLE if marked else os.SCHED_OTHER
    # The process itself was never lowered: without privileges nothing could raise it again.
    assert printed(GENTLE, tmp_path, marked) == [inside, os.SCHED_OTHER, True, True]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core only")
@pytest.mark.parametrize("marked", [True, False])
def test_threads_that_stay_have_all_cores_again(tmp_path: Path, marked: bool) -> None:
    cores = len(os.sched_getaffinity(0))
    inside = 1 if marked else cores
    assert printed(ON_ONE_CORE, tmp_path, marked) == [inside, inside, cores, cores]
