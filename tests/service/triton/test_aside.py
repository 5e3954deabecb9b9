"""An engine that loads beside one that serves keeps to one core, and then has all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.triton.backends import SHARED, sub50_aside

CHILD = """
import json, os, threading
import sub50_aside
started = threading.Event()
begun = len(os.sched_getaffinity(0))
thread = threading.Thread(target=started.wait)
thread.start()
inherited = len(os.sched_getaffinity(thread.native_id))
sub50_aside.step_back()
after = [len(os.sched_getaffinity(each)) for each in (0, thread.native_id)]
started.set()
print(json.dumps([begun, inherited, *after]))
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core only")
@pytest.mark.parametrize("marked", [True, False])
def test_it_keeps_to_one_core_until_it_is_ready(tmp_path: Path, marked: bool) -> None:
    if marked:
        (tmp_path / sub50_aside.MARKER).touch()
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=SHARED[0].parent,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    cores = len(os.sched_getaffinity(0))
    loading = 1 if marked else cores
    assert json.loads(done.stdout) == [loading, loading, cores, cores]
