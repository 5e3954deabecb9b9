"""The arithmetic of docs/capacity.md, and that the page says what it computes."""

from __future__ import annotations

import re

import pytest

from benchmarks import capacity
from benchmarks.capacity import (
    MACHINES,
    RATES,
    REVIEWS,
    SENTENCES,
    Machine,
    Plan,
    Workload,
    cost_per_million,
    cost_rows,
    machines_for,
    plan_for,
    pod_rows,
)
from engines.price import UTILISATION
from tests.deploy.conftest import ROOT
from tests.deploy.manifests import main_container, named, rendered
from tests.deploy.policies_cluster import scales

PAGE = (ROOT / "docs" / "capacity.md").read_text("utf-8")
BENCHMARKS = (ROOT / "BENCHMARKS.md").read_text("utf-8")


@pytest.mark.parametrize("workload", [SENTENCES, REVIEWS], ids=lambda each: each.name)
@pytest.mark.parametrize("rows", [pod_rows, cost_rows])
def test_the_page_has_what_is_computed(workload: Workload, rows: object) -> None:
    assert callable(rows)
    assert "\n".join(rows(workload)) in PAGE


def test_the_page_has_the_steps() -> None:
    for label, value in (
        ("best rate of 2 vCPU", lambda each: f"{each.best_rate:.0f}/s"),
        ("vCPU time a request", lambda each: f"{each.core_ms:.2f} ms"),
        ("of it the API's", lambda each: f"{each.api_share:.0%}".replace("%", " %")),
        ("best rate of an API (1 vCPU)", lambda each: f"{each.api_rate:.0f}/s"),
        ("best rate of a Triton (2 vCPU)", lambda each: f"{each.triton_rate:.0f}/s"),
        (
            f"planned for, {UTILISATION:.0%}".replace("%", " %"),
            lambda each: (
                f"{UTILISATION * each.api_rate:.0f} and {UTILISATION * each.triton_rate:.0f}/s"
            ),
        ),
    ):
        assert f"| {label} | {value(SENTENCES)} | {value(REVIEWS)} |" in PAGE
    assert capacity.PRICES_OF in PAGE


def test_the_figures_are_those_that_were_measured() -> None:
    """A new measurement in BENCHMARKS.md has to change the figures here."""

    def row(start: str) -> list[str]:
        (line,) = [line for line in BENCHMARKS.splitlines() if line.startswith(f"| {start} |")]
        return [cell.strip() for cell in line.strip("|").split("|")]

    assert float(row("sentences of about 25 tokens")[2]) == SENTENCES.best_rate
    assert float(row("reviews of about 128 tokens")[2]) == REVIEWS.best_rate
    api, triton = row("processor time: API"), row("Triton")
    backends = row("backends, with the engine")
    at_300 = float(api[3]) / (float(api[3]) + float(triton[3]) + float(backends[3]))
    assert SENTENCES.api_share == pytest.approx(at_300)
    assert REVIEWS.api_share * REVIEWS.core_ms == pytest.approx(float(api[1]))


@pytest.mark.parametrize("workload", [SENTENCES, REVIEWS], ids=lambda each: each.name)
@pytest.mark.parametrize("rate", [1, *RATES, 271, 431])
def test_pods_suffice(workload: Workload, rate: float) -> None:
    plan = plan_for(rate, workload)
    for pods, best in ((plan.apis, workload.api_rate), (plan.tritons, workload.triton_rate)):
        assert pods >= 2
        assert rate <= UTILISATION * pods * best
        assert rate < (pods - 1) * best
    assert capacity.INSTANCES * plan.tritons == plan.lanes * plan.apis


def test_by_hand() -> None:
    """100 requests/s on 2 vCPU, half of it the API's: 10 ms of a vCPU for each of the two."""
    even = Workload("even", 100, 0.5)
    assert (even.core_ms, even.api_rate, even.triton_rate) == (20.0, 100.0, 200.0)
    # 360/s: 6 APIs of 60/s as planned; 3 Tritons of 120/s, which make one lane each.
    assert plan_for(360, even) == Plan(apis=6, tritons=3)
    assert plan_for(360, even).lanes == 1
    machine = Machine("any", 8, 0.5)
    assert machines_for(Plan(6, 3), machine) == 2  # 12 vCPU, seven to a machine
    # Two machines at 0.5 an hour: 1 an hour for 360 x 3,600 = 1,296,000 requests.
    assert cost_per_million(360, 2, machine) == pytest.approx(1 / 1.296)
    assert Plan(21, 30).cells == 2
    assert Plan(10, 81).cells == 3


def test_pods_are_those_of_the_cluster() -> None:
    objects = rendered("cpu")
    api = main_container(named(objects, "Deployment", "sub50-api"))
    triton = main_container(named(objects, "Deployment", "sub50-triton"))
    assert int(api["resources"]["requests"]["cpu"]) == capacity.API_CORES
    assert int(triton["resources"]["requests"]["cpu"]) == capacity.TRITON_CORES
    most = {name: highest for name, (_, highest, _) in scales(objects).items()}
    assert most == {"sub50-api": capacity.MOST_APIS, "sub50-triton": capacity.MOST_TRITONS}


def test_the_command_takes_your_figures(capsys: pytest.CaptureFixture[str]) -> None:
    capacity.main(["--rate", "360", "--best-rate", "100", "--api-share", "0.5", "--price", "0.5"])
    said = capsys.readouterr().out
    assert "| 360 | 6 | 3 | 1 | 12 | 1 |" in said
    assert "| your machine | 0.500 | 0.77 (2) |" in said
    assert not any(machine.name in said for machine in MACHINES)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--rate", "0"], "0 is not over 0"),
        (["--api-share", "1"], "1 is not between 0 and 1"),
        (["--cores", "2"], "a machine of 2 vCPU holds no Triton"),
    ],
)
def test_the_command_names_what_is_wrong(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        capacity.main(given)
    assert re.search(re.escape(said), capsys.readouterr().err)
