"""What operators read: the rules are those of deploy/prometheus, the signals are the service's."""

from __future__ import annotations

import re
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from service.metrics import Metrics
from tests.deploy.conftest import load, rules
from tests.deploy.manifests import (
    KUBERNETES,
    Object,
    named,
    of_kind,
    rendered,
)
from tests.deploy.policies_cluster import SIGNALS

WRITER = KUBERNETES / "write_prometheus_rules.py"
PRODUCERS = {"recording.yml": "sub50-recording", "alerts.yml": "sub50-alerts"}
# Two APIs, each seen twice in the last minute, and a candidate that does not count.
SERIES = """
- series: '{signal}{{job="sub50",track="stable",namespace="sub50",instance="a"}}'
  values: _ 0.25 0.75
- series: '{signal}{{job="sub50",track="stable",namespace="sub50",instance="b"}}'
  values: _ 0.5 1.5
- series: '{signal}{{job="sub50",track="candidate",namespace="sub50",instance="c"}}'
  values: _ 5 5
"""
AVERAGES_SUMMED = 0.5 + 1.0


def promtool(binaries: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [binaries["promtool"], *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_rules_are_written_anew() -> None:
    """If not: `python deploy/kubernetes/write_prometheus_rules.py`."""
    module = runpy.run_path(str(WRITER))
    assert module["TARGET"].read_text("utf-8") == module["rules"]()


@pytest.mark.parametrize("file", PRODUCERS)
def test_the_rules_are_those_of_prometheus(file: str) -> None:
    """As a cluster gets them, after YAML and Kustomize."""
    groups = named(rendered("cpu"), "PrometheusRule", PRODUCERS[file])["spec"]["groups"]
    assert [rule for group in groups for rule in group["rules"]] == rules(file)


def test_promtool_takes_the_rules(tmp_path: Path, binaries: dict[str, str]) -> None:
    objects = rendered("cpu")
    for each in of_kind(objects, "PrometheusRule"):
        path = tmp_path / f"{each['metadata']['name']}.yml"
        path.write_text(yaml.safe_dump(each["spec"]))
        done = promtool(binaries, "check", "rules", path)
        assert done.returncode == 0, done.stderr
        each["spec"]["groups"][0]["rules"][0]["expr"] += " +"
        path.write_text(yaml.safe_dump(each["spec"]))
        assert promtool(binaries, "check", "rules", path).returncode != 0


def adapter_queries() -> dict[str, str]:
    """What prometheus-adapter asks for each signal, as the autoscalers select it."""
    adapter = load(KUBERNETES / "components" / "hpa" / "prometheus-adapter.yaml")
    found = {}
    for metric in (
        metric["external"]["metric"]
        for each in of_kind(rendered("cpu"), "HorizontalPodAutoscaler")
        for metric in each["spec"]["metrics"]
    ):
        (rule,) = [
            rule
            for rule in adapter["rules"]["external"]
            if rule["seriesQuery"].startswith(f"{metric['name']}{{")
        ]
        labels = {"namespace": "sub50", **metric["selector"]["matchLabels"]}
        query = rule["metricsQuery"]
        for placeholder, value in (
            ("<<.Series>>", metric["name"]),
            ("<<.LabelMatchers>>", ",".join(f'{k}="{v}"' for k, v in labels.items())),
            ("<<.GroupBy>>", "namespace"),
        ):
            query = query.replace(placeholder, value)
        found[metric["name"]] = query
    return found


def keda_queries() -> dict[str, str]:
    """What KEDA asks for each signal."""
    found = {}
    for each in of_kind(rendered("gpu"), "ScaledObject"):
        for trigger in each["spec"]["triggers"]:
            query = trigger["metadata"]["query"]
            (signal,) = re.findall(r"sub50_\w+", query)
            assert found.setdefault(signal, query) == query
    return found


def test_the_signals_are_series_of_the_service() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    families = {family.name for family in registry.collect()}
    assert set(adapter_queries()) == set(keda_queries()) == SIGNALS
    assert families >= SIGNALS


@pytest.mark.parametrize("queries", [adapter_queries, keda_queries])
def test_the_signals_are_averages_summed_over_the_stable_pods(
    queries: Any, tmp_path: Path, binaries: dict[str, str]
) -> None:
    for signal, query in queries().items():
        sample = {"labels": '{namespace="sub50"}', "value": AVERAGES_SUMMED}
        expected: Object = {"expr": query, "eval_time": "1m", "exp_samples": [sample]}
        test = {
            "interval": "30s",
            "input_series": yaml.safe_load(SERIES.format(signal=signal)),
            "promql_expr_test": [expected],
        }
        path = tmp_path / f"{signal}.yml"
        path.write_text(yaml.safe_dump({"tests": [test]}))
        done = promtool(binaries, "test", "rules", path)
        assert done.returncode == 0, done.stdout + done.stderr
