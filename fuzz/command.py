"""Runs a fuzzer that is a program of its own, and keeps what it says."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run_logged(
    command: Sequence[str],
    log: Path,
    folder: Path = ROOT,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run it in `folder`, with more variables; what it said, which is also left in `log`.

    Its exit status is of no interest: what it found stands in what it says.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        subprocess.run(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
            cwd=folder,
            env=os.environ | dict(environment or {}),
        )
    return log.read_text(encoding="utf-8", errors="replace")
