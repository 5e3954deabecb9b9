"""What the tests of deploy/ need: Prometheus and Alertmanager, as Debian packages them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "rules"
RUNBOOKS = ROOT / "docs" / "runbooks"
# Debian renames one of them.
NAMES = {
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "amtool": ("amtool",),
}
HOW = "apt-get install prometheus prometheus-alertmanager"


@pytest.fixture(scope="session")
def binaries() -> dict[str, str]:
    """Paths of the four programs, by name.

    Without them the test is skipped, or fails where REQUIRE_PROMETHEUS is set, as .ci/run does.
    """
    paths = {name: next(filter(None, map(shutil.which, NAMES[name])), None) for name in NAMES}
    found = {name: path for name, path in paths.items() if path is not None}
    if missing := sorted(set(NAMES) - set(found)):
        reason = f"not installed: {', '.join(missing)}; {HOW}"
        if os.environ.get("REQUIRE_PROMETHEUS"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def load(path: Path) -> Any:
    """A YAML file's content."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rules(file: str) -> list[dict[str, Any]]:
    """All rules of a file in deploy/prometheus/rules, in order."""
    return [rule for group in load(RULES / file)["groups"] for rule in group["rules"]]
