"""The load test against the real stack: a verdict, a report, and the server's word for it.

What is tested is that they are right, not that this machine is fast: any verdict will do.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loadtest.plan import Plan
from loadtest.records import OK, Records
from loadtest.stack import running_service
from loadtest.verdict import EXIT_CODES, judge

pytestmark = pytest.mark.live

SUB50 = Path(sys.executable).with_name("sub50")
RATE, SECONDS, WARM_UP = 20, 15, 2
AGREEMENT_POINTS = 0.5
# One quiet run shows that the two histograms count alike; noise between them shows nothing.
TRIES = 3


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running_service(tmp_path_factory.mktemp("service")) as url:
        yield url


def verdict(url: str, folder: Path, *options: str) -> tuple[dict[str, Any], str]:
    """What `sub50 loadtest verdict --json` printed on standard output and standard error."""
    command = [str(SUB50), "loadtest", "verdict", "--host", url, "--report", str(folder), "--json"]
    timing = ["--rate", str(RATE), "--duration", str(SECONDS), "--warm-up", str(WARM_UP)]
    done = subprocess.run(
        [*command, *timing, *options], capture_output=True, text=True, timeout=200
    )
    assert done.returncode in EXIT_CODES.values(), done.stderr
    judged = json.loads(done.stdout)
    assert judged["exit_code"] == done.returncode
    return judged, done.stderr


def test_the_verdict_and_the_report_are_those_of_the_records(url: str, tmp_path: Path) -> None:
    judged, _ = verdict(url, tmp_path)
    plan = Plan.from_json((tmp_path / "plan.json").read_text())
    records = Records.load(tmp_path / "records.npz")
    assert judge(records, plan).as_dict() == judged
    assert judged["errors"] == 0
    assert judged["n"] == pytest.approx(RATE * SECONDS, rel=0.3)
    page = (tmp_path / "report.html").read_text()
    assert judged["outcome"] in page
    assert page.count("<svg") >= 2
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)", page)


def test_server_and_clients_agree_on_the_share_over_50_ms(url: str, tmp_path: Path) -> None:
    shares = []
    for number in range(TRIES):
        folder = tmp_path / str(number)
        _, shown = verdict(url, folder, "--seed", str(number))
        found = re.search(r"(\S+) % by the server's own .* \((\S+) requests\), (\S+) %", shown)
        assert found, shown
        assert int(found[2]) == len(Records.load(folder / "records.npz"))
        shares.append((float(found[1]), float(found[3])))
        if abs(shares[-1][0] - shares[-1][1]) <= AGREEMENT_POINTS:
            return
    pytest.fail(f"server and clients differ in every run: {shares}")


def test_interactive_requests_and_contracts_get_on_together(url: str, tmp_path: Path) -> None:
    """One in two hundred requests is a whole contract, worth the machine's whole second or so."""
    judged, _ = verdict(url, tmp_path, "--scenario", "mixed")
    records = Records.load(tmp_path / "records.npz")
    assert judged["errors"] == 0
    contracts = records.of_kind("contract")
    sentences = records.of_kind("sentence")
    assert len(contracts)
    assert (contracts.outcome == OK).all()
    in_time = (sentences.outcome == OK) & (sentences.service_us < 50_000)
    assert in_time.mean() > 0.5
