"""Which ONNX Runtime `make` leaves in an environment, with a stand-in for Python and its pip."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# As pip does: the project needs the one for processors, its extra `gpu` the other, and pip sees no
# harm in both.
STAND_IN = """#!/bin/sh
shift 4  # -m pip and what it is told each time
held="{held}"
touch "$held"
verb=$1
shift
case "$verb $*" in
  show\\ *) exec grep -qx "$1" "$held" ;;
  uninstall\\ *) : > "$held" ;;
  *--no-deps\\ onnxruntime-gpu) echo onnxruntime-gpu >> "$held" ;;
  *\\[gpu\\]*) printf 'onnxruntime\\nonnxruntime-gpu\\n' >> "$held" ;;
  install\\ *) echo onnxruntime >> "$held" ;;
esac
"""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    if shutil.which("make") is None:
        pytest.skip("there is no `make` here; install it")
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(STAND_IN.format(held=tmp_path / "held"))
    python.chmod(0o755)
    return tmp_path / "venv"


def held_after(environment: Path, *targets: str) -> set[str]:
    command = ["make", "--silent", f"VENV={environment}", *targets]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return set((environment.parent / "held").read_text().split())


def test_the_one_for_gpus_takes_the_place_of_the_other(environment: Path) -> None:
    assert held_after(environment, f"{environment}/serve.done") == {"onnxruntime"}
    assert held_after(environment, "setup-gpu") == {"onnxruntime-gpu"}
    assert held_after(environment, "setup-gpu") == {"onnxruntime-gpu"}


@pytest.mark.parametrize("part", ["dev", "train", "loadtest", "peers", "audit"])
def test_what_is_installed_later_does_not_bring_the_other_back(
    environment: Path, part: str
) -> None:
    held_after(environment, "setup-gpu")
    assert held_after(environment, f"{environment}/{part}.done") == {"onnxruntime-gpu"}


def test_without_a_gpu_the_one_for_processors_stays(environment: Path) -> None:
    parts = [f"{environment}/{part}.done" for part in ("serve", "dev", "train")]
    assert held_after(environment, *parts) == {"onnxruntime"}
