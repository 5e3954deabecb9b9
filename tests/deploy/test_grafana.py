"""The committed dashboards of Grafana: as generated, whole, and true to the metrics."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.generate import dashboards
from service.settings import Settings
from tests.deploy.conftest import DEPLOY, ROOT, load
from tests.deploy.dashboards import DASHBOARDS, GRAFANA, VARIABLES, panel_queries, variables_of
from tests.deploy.gpu_metrics import DOCUMENTED
from tests.deploy.test_rules import RECORDED, exposed, names_in, run

COLUMNS = 24
SCHEMA_VERSION = 42
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, dashboard in DASHBOARDS.items()
    for panel in dashboard["panels"]
]


def test_they_are_as_generated() -> None:
    committed = {path.name: path.read_text() for path in (GRAFANA / "dashboards").iterdir()}
    assert dashboards() == committed, "run `python -m deploy.grafana.generate`"


def test_there_is_one_for_each_of_the_four_sides() -> None:
    sides = {f"sub50-{side}" for side in ("promise", "stages", "triton", "engines")}
    assert {dashboard["uid"] for dashboard in DASHBOARDS.values()} == sides


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=list(DASHBOARDS))
def test_a_dashboard_is_whole(dashboard: dict[str, Any]) -> None:
    assert dashboard["schemaVersion"] == SCHEMA_VERSION
    assert "id" not in dashboard, "Grafana gives it one of its own"
    assert dashboard["links"][0]["tags"] == dashboard["tags"] == ["sub50"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for one, other in combinations([panel["gridPos"] for panel in dashboard["panels"]], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows_and_what_to_do(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert len(panel["description"].partition("\n")[0]) > 30
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= COLUMNS
    for page in re.findall(r"docs/[\w/-]+\.md", panel["description"]):
        assert (ROOT / page).is_file(), page
    references = [target["refId"] for target in panel["targets"]]
    assert references
    assert len(set(references)) == len(references)
    for source in (panel, *panel["targets"]):
        assert source["datasource"] == {"type": "prometheus", "uid": "prometheus"}


def test_most_panels_name_a_page_for_the_pager() -> None:
    named = [panel.values[0]["title"] for panel in PANELS if "Runbook: " in str(panel.values)]
    assert len(named) > len(PANELS) / 2


def test_times_of_the_promise_have_its_line() -> None:
    promise_seconds = Settings.model_fields["interactive_timeout_ms"].default / 1000
    lines = 0
    for panel in (panel.values[0] for panel in PANELS):
        if "P99" in panel["title"] and "interactive" in str(panel["targets"]):
            steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
            assert promise_seconds in [step["value"] for step in steps], panel["title"]
            lines += 1
    assert lines >= 3
    edges = {edge for each in panel_queries() for edge in re.findall(r'le="(.+?)"', each.expr)}
    assert edges == {str(promise_seconds)}


def test_variables_in_queries_are_those_of_the_dashboard() -> None:
    used: dict[str, set[str]] = {name: set() for name in DASHBOARDS}
    for query in panel_queries():
        used[query.dashboard] |= query.variables - {"__rate_interval"}
    for name, dashboard in DASHBOARDS.items():
        assert used[name] == set(variables_of(dashboard))
        assert used[name] <= set(VARIABLES)


def test_every_series_of_ours_in_a_query_exists() -> None:
    known = set(exposed()) | set(RECORDED)
    for query in panel_queries():
        assert names_in(query.expr) <= known, query
    assert sum(len(names_in(query.expr)) for query in panel_queries()) > 40


def test_every_series_of_a_gpu_in_a_query_is_documented() -> None:
    asked = {name for query in panel_queries() for name in re.findall(r"nv_gpu_\w+", query.expr)}
    assert asked == set(DOCUMENTED) - {"nv_energy_consumption"}


def test_prometheus_parses_every_query(binaries: dict[str, str], tmp_path: Path) -> None:
    group = [
        {"record": f"query:{number}", "expr": query.filled_in}
        for number, query in enumerate(panel_queries())
    ]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": group}]}))
    run(binaries["promtool"], "check", "rules", path)


def test_what_is_provisioned_fits_the_dashboards_and_prometheus() -> None:
    (source,) = load(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    assert (source["uid"], source["type"]) == ("prometheus", "prometheus")
    scraped = load(DEPLOY / "prometheus" / "prometheus.yml")
    assert source["jsonData"]["timeInterval"] == scraped["global"]["scrape_interval"]
    assert {job["job_name"] for job in scraped["scrape_configs"]} >= {"sub50", "triton"}
    (provider,) = load(GRAFANA / "provisioning" / "dashboards" / "sub50.yml")["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"].startswith("/")
    assert provider["allowUiUpdates"] is False
