"""The committed dashboards, as Grafana reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.deploy.conftest import DEPLOY

GRAFANA = DEPLOY / "grafana"
DASHBOARDS: dict[str, dict[str, Any]] = {
    path.name: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}
# What the test puts in the place of Grafana's variables.
VARIABLES = {
    "job": "sub50",
    "triton": "triton",
    "instance": ".*",
    "model": ".*",
    "__rate_interval": "20s",
}


@dataclass(frozen=True)
class PanelQuery:
    """One query of a panel."""

    dashboard: str
    panel: str
    expr: str

    @property
    def variables(self) -> set[str]:
        return set(re.findall(r"\$(\w+)", self.expr))

    @property
    def filled_in(self) -> str:
        """The query as Grafana would send it."""
        return filled_in(self.expr)


def filled_in(expr: str) -> str:
    return re.sub(r"\$(\w+)", lambda found: VARIABLES[found[1]], expr)


def panel_queries() -> Iterator[PanelQuery]:
    for name, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield PanelQuery(name, panel["title"], target["expr"])


def variables_of(dashboard: dict[str, Any]) -> dict[str, str]:
    """The query of each variable of a dashboard, by name."""
    return {each["name"]: each["query"] for each in dashboard["templating"]["list"]}
