"""A soak as short as one can be: the real service, held to all but how fast this machine is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.test_stack import ROOT

pytestmark = pytest.mark.live

SECONDS = 24


def test_half_a_minute_of_load_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "chaos.soak", "--report", str(tmp_path)]
    options = ["--seconds", str(SECONDS), "--rate", "20", "--scenario", "classify"]
    ran = subprocess.run(
        [*command, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        # What is tested is what it holds, not how fast this machine is.
        env=os.environ | {"SUB50_INTERACTIVE_TIMEOUT_MS": "20000"},
    )
    assert ran.returncode in (0, 1), ran.stderr
    findings = json.loads((tmp_path / "soak.json").read_text())["findings"]
    assert [fault for fault in findings["faults"] if not fault.startswith("P99")] == []
    assert findings["answered"] == findings["requests"] > 0.8 * 20 * SECONDS
    assert "memory, last three quarters" in ran.stdout
