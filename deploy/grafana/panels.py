"""The kinds of panels and variables that our dashboards are made of, by Grafana's own builders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
)
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    QueryVariable,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    DataSourceRef,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

# As deploy/grafana/provisioning names it.
PROMETHEUS = DataSourceRef(type_val="prometheus", uid="prometheus")
TAG = "sub50"
HEIGHT = 8
STAT_HEIGHT = 4
GREEN, YELLOW, RED = "green", "yellow", "red"

# What panels choose our series by.
OURS = 'job="$job",instance=~"$instance"'
OUR_MODELS = f'{OURS},model=~"$model"'
TRITONS = 'job="$triton"'
TRITON_MODELS = f'{TRITONS},model=~"$model"'

Panel = Stat | Table | TimeSeries
# From which value on which colour; the first has no least value.
Steps = Sequence[tuple[float | None, str]]


@dataclass(frozen=True)
class Query:
    """One query and what its series are called, with labels as {{label}}."""

    expr: str
    legend: str


def zero_where_none(expr: str) -> str:
    """`expr`, or 0 where no such thing has ever happened and so there is no series."""
    return f"{expr} or on () vector(0)"


def says(text: str, *alerts: str) -> str:
    """A panel's description, with the pages of the alerts that stand on what it shows."""
    pages = ", ".join(f"docs/runbooks/{alert}.md" for alert in alerts)
    return f"{text}\n\nRunbook: {pages}" if alerts else text


def number(
    title: str, description: str, unit: str, expr: str, steps: Steps, width: int = 4
) -> Panel:
    """The newest value of one series, coloured by `steps`."""
    return (
        Stat()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .height(STAT_HEIGHT)
        .span(width)
        .thresholds(_thresholds(steps))
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(BigValueGraphMode.NONE)
        .with_target(_target(Query(expr, title), 0).instant())
    )


def graph(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    steps: Steps = (),
    stacked: bool = False,
    width: int = 12,
) -> Panel:
    """Series over time; `steps` are drawn as lines."""
    panel = (
        TimeSeries()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .height(HEIGHT)
        .span(width)
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.RIGHT)
            .calcs(["lastNotNull", "max"])
            .show_legend(True)
        )
    )
    if steps:
        style = GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(_thresholds(steps)).thresholds_style(style)
    if stacked:
        panel = panel.stacking(StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(20)
    for place, query in enumerate(queries):
        panel = panel.with_target(_target(query, place))
    return panel


def table(title: str, description: str, expr: str, width: int = 24) -> Panel:
    """One row for each series, with its labels."""
    target = _target(Query(expr, ""), 0).instant().format(PromQueryFormat.TABLE)
    return (
        Table()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit("short")
        .height(HEIGHT)
        .span(width)
        .with_target(target)
    )


def dashboard(
    uid: str, title: str, description: str, variables: Sequence[str], panels: Sequence[Panel]
) -> Dashboard:
    """A dashboard of panels, from left to right and from top to bottom."""
    made = (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .time("now-3h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            DashboardLink("sub50")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
    )
    for name in variables:
        made = made.with_variable(_variable(name))
    for place, panel in enumerate(panels, start=1):
        made = made.with_panel(panel.id(place))
    return made


def _variable(name: str) -> QueryVariable:
    """One of the variables that all dashboards share."""
    queries = {
        "job": "label_values(sub50_engine_info, job)",
        "instance": 'label_values(sub50_engine_info{job="$job"}, instance)',
        "model": 'label_values(sub50_engine_info{job="$job"}, model)',
        "triton": "label_values(nv_inference_count, job)",
    }
    made = (
        QueryVariable(name)
        .label(name)
        .datasource(PROMETHEUS)
        .query(queries[name])
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )
    if name in ("instance", "model"):
        everything = VariableOption(selected=True, text="All", value="$__all")
        return made.multi(True).include_all(True).all_value(".*").current(everything)
    default = {"job": "sub50", "triton": "triton"}[name]
    return made.current(VariableOption(selected=True, text=default, value=default))


def _thresholds(steps: Steps) -> ThresholdsConfig:
    found = [Threshold(value=value, color=color) for value, color in steps]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(found)


def _target(query: Query, place: int) -> Dataquery:
    return (
        Dataquery()
        .datasource(PROMETHEUS)
        .expr(query.expr)
        .legend_format(query.legend)
        .ref_id(chr(ord("A") + place))
        .range()
    )
