"""Writes the rules of deploy/prometheus as PrometheusRules, for Prometheus Operator.

`python deploy/kubernetes/write_prometheus_rules.py`, after any change to the rules.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent
RULES = HERE.parent / "prometheus" / "rules"
TARGET = HERE / "components" / "prometheus-operator" / "rules.yaml"
HEADING = """\
# Written by deploy/kubernetes/write_prometheus_rules.py; change deploy/prometheus/rules instead.
"""


def prometheus_rule(path: Path) -> str:
    """A PrometheusRule with the groups of one file, as they stand there."""
    text = path.read_text(encoding="utf-8")
    _, groups = text.split("groups:\n")
    indented = "".join(f"  {line}" if line.strip() else line for line in groups.splitlines(True))
    return f"""\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: sub50-{path.stem}
spec:
  groups:
{indented}"""


def rules() -> str:
    """The whole file."""
    return HEADING + "---\n".join(prometheus_rule(path) for path in sorted(RULES.glob("*.yml")))


if __name__ == "__main__":
    TARGET.write_text(rules(), encoding="utf-8")
