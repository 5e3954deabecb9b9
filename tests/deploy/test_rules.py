"""The committed files of Prometheus and Alertmanager: valid, tested, and true to the service."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.utils import floatToGoString

from service.metrics import REQUEST_EDGES_SECONDS, Metrics
from service.settings import Settings
from tests.deploy.conftest import DEPLOY, ROOT, RUNBOOKS, load, rules

PROMETHEUS = DEPLOY / "prometheus"
ALERTMANAGER = DEPLOY / "alertmanager" / "alertmanager.yml"
RULE_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
ALERTS = {rule["alert"]: rule for rule in rules("alerts.yml")}
RECORDED = {rule["record"]: rule for rule in rules("recording.yml")}
SECTIONS = ["What it means", "Look first", "Usual causes, and what to do", "Over when"]
OPERATING = ROOT / "docs" / "operating.md"


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_its_files(binaries: dict[str, str]) -> None:
    run(binaries["promtool"], "check", "config", PROMETHEUS / "prometheus.yml")
    run(binaries["promtool"], "check", "rules", *sorted((PROMETHEUS / "rules").glob("*.yml")))


def test_alertmanager_takes_its_file(binaries: dict[str, str]) -> None:
    run(binaries["amtool"], "check-config", ALERTMANAGER)


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_the_rules_do_what_their_tests_say(path: Path, binaries: dict[str, str]) -> None:
    run(binaries["promtool"], "test", "rules", path)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_shown_to_fire_to_reset_and_not_to_fire(alert: str) -> None:
    fires = resets = silent = False
    for test in (test for path in RULE_TESTS for test in load(path)["tests"]):
        checks = [check for check in test.get("alert_rule_test", []) if check["alertname"] == alert]
        fired = [bool(check["exp_alerts"]) for check in checks]
        fires |= any(fired)
        resets |= any(before and not after for before, after in pairwise(fired))
        silent |= bool(fired) and not any(fired)
    assert (fires, resets, silent) == (True, True, True)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_says_how_urgent_it_is_and_names_its_page(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"] == f"docs/runbooks/{alert}.md"
    text = (RUNBOOKS / f"{alert}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {alert} ({rule['labels']['severity']})\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert f"[{alert}](runbooks/{alert}.md)" in OPERATING.read_text(encoding="utf-8")


def test_every_page_has_its_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*")} == set(ALERTS)


def queries() -> Iterator[tuple[str, str]]:
    """Every query of the rules and of the runbooks, with where it stands."""
    for name, rule in (RECORDED | ALERTS).items():
        yield name, rule["expr"]
    for path in RUNBOOKS.glob("*.md"):
        for block in re.findall(
            r"```promql\n(.+?)```", path.read_text(encoding="utf-8"), re.DOTALL
        ):
            yield path.stem, block


def test_queries_of_the_runbooks_are_queries(tmp_path: Path, binaries: dict[str, str]) -> None:
    """As rules, which promtool parses; one is written wrong to see that it does."""
    exprs = [expr for _, expr in queries()]
    for path, more in ((tmp_path / "right.yml", []), (tmp_path / "wrong.yml", ["sum by ("])):
        numbered = enumerate(exprs + more)
        group = [{"record": f"query:{number}", "expr": expr} for number, expr in numbered]
        path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": group}]}))
    run(binaries["promtool"], "check", "rules", tmp_path / "right.yml")
    with pytest.raises(AssertionError, match="parse error"):
        run(binaries["promtool"], "check", "rules", tmp_path / "wrong.yml")


def exposed() -> dict[str, set[str]]:
    """Labels of every series that the service shows, by the series' name."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    found: dict[str, set[str]] = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            labels = set(metric._labelnames)
            endings = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",)}
            for ending in endings.get(metric._type, ("",)):
                found[metric._name + ending] = labels | ({"le"} if ending == "_bucket" else set())
    process = CollectorRegistry()
    ProcessCollector(registry=process)
    own = {sample.name for family in process.collect() for sample in family.samples}
    return found | {name: set() for name in own} | {"up": set()}


def names_in(query: str) -> set[str]:
    """Series in a query, ours, Prometheus' own and recorded ones."""
    return set(re.findall(r"(?<![\w:])(?:\w+:[\w:]+|sub50_\w+|process_\w+|up)(?![\w:(])", query))


def test_every_series_in_a_query_exists() -> None:
    known = set(exposed()) | set(RECORDED)
    unknown = {(where, name) for where, query in queries() for name in names_in(query) - known}
    assert unknown == set()
    assert sum(len(names_in(query)) for _, query in queries()) > 60


def test_every_label_in_a_query_exists() -> None:
    series = exposed()
    for where, query in queries():
        for name, selector in re.findall(r"(\w+)\{(.*?)\}", query, re.DOTALL):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
            assert labels <= series[name] | {"job", "instance"}, (where, name)


def test_the_edge_is_that_of_the_promise() -> None:
    promise_ms = Settings.model_fields["interactive_timeout_ms"].default
    assert promise_ms / 1000 in REQUEST_EDGES_SECONDS
    edges = {edge for _, query in queries() for edge in re.findall(r'le="(.+?)"', query)}
    assert edges == {floatToGoString(promise_ms / 1000)}


def test_what_is_recorded_is_used() -> None:
    used = {name for where, query in queries() for name in names_in(query) - {where}}
    assert set(RECORDED) - used == set()


def test_alertmanager_knows_the_alerts() -> None:
    config: dict[str, Any] = load(ALERTMANAGER)
    receivers = {receiver["name"] for receiver in config["receivers"]}
    (pages,) = config["route"]["routes"]
    assert {config["route"]["receiver"], pages["receiver"]} == receivers
    assert pages["matchers"] == ['severity="page"']
    for inhibition in config["inhibit_rules"]:
        for matcher in inhibition["source_matchers"] + inhibition["target_matchers"]:
            pattern = re.fullmatch(r'alertname=~?"(.+)"', matcher)
            assert pattern, matcher
            for alternative in pattern[1].split("|"):
                assert any(re.fullmatch(alternative, alert) for alert in ALERTS), matcher
