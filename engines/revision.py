"""What made something: the project's git revision and the versions of its tools."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNKNOWN = "unknown"
GIT_SECONDS = 10
TOOLS = ("torch", "transformers", "peft", "tokenizers", "numpy", "onnx", "onnxruntime", "optuna")


def git_revision(root: Path = ROOT) -> tuple[str, bool]:
    """The commit of the checkout that holds this code, and whether files differ from it.

    `unknown` where the code is no checkout, such as an installed package.
    """
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return UNKNOWN, False
    return commit, bool(_git(root, "status", "--porcelain", "--untracked-files=no"))


def tool_versions(tools: tuple[str, ...] = TOOLS) -> dict[str, str]:
    """Versions of those of `tools` that are installed."""
    found = {}
    for name in tools:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _git(root: Path, *arguments: str) -> str | None:
    # Not the revision of whatever repository an installed package happens to lie in.
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
