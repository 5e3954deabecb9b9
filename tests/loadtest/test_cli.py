"""`sub50 loadtest` as people and scripts use it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from loadtest.capacity import Capacity, Probe
from loadtest.plan import Plan
from service.cli import app
from tests.loadtest.conftest import StartStub
from tests.loadtest.hand_made import hand_made_verdict

runner = CliRunner()
SUB50 = Path(sys.executable).with_name("sub50")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--rate", "0"),
        ("--duration", "-1"),
        ("--warm-up", "-1"),
        ("--scenario", "translate"),
        ("--texts", "poem"),
        ("--budget-ms", "0"),
        ("--host", "localhost"),
    ],
)
def test_the_wrong_option_is_named(option: str, value: str) -> None:
    result = runner.invoke(app, ["loadtest", "verdict", option, value])
    assert result.exit_code == 2
    assert option in result.stderr
    assert value in result.stderr


@pytest.mark.parametrize(
    "arguments", [["capacity", "--start-rate", "0"], ["overload", "--capacity", "0"]]
)
def test_a_rate_of_nothing_is_refused(arguments: list[str]) -> None:
    result = runner.invoke(app, ["loadtest", *arguments])
    assert result.exit_code == 2
    assert arguments[1] in result.stderr


def test_no_service_is_no_verdict(tmp_path: Path) -> None:
    options = ["--host", "http://127.0.0.1:1", "--report", str(tmp_path)]
    result = runner.invoke(app, ["loadtest", "verdict", *options])
    assert result.exit_code == 2
    assert "no service at http://127.0.0.1:1" in result.stderr


def test_the_verdict_is_the_last_line_and_the_exit_status(
    start_stub: StartStub, tmp_path: Path
) -> None:
    options = ["--rate", "80", "--duration", "2", "--warm-up", "0", "--report", str(tmp_path)]
    command = ["loadtest", "verdict", "--host", start_stub(statuses=[429]), *options]
    result = runner.invoke(app, command)
    assert result.exit_code == 1
    line = result.stdout.splitlines()[-1]
    assert line.startswith("VERDICT FAIL p99_ms=inf n=")
    assert "refused" in result.stderr
    for name in ("report.html", "records.npz", "latency.hgrm", "plan.json"):
        assert (tmp_path / name).stat().st_size > 0
    as_json = runner.invoke(app, [*command, "--json"])
    verdict = json.loads(as_json.stdout)
    assert (verdict["outcome"], verdict["exit_code"], verdict["p99_ms"]) == ("FAIL", 1, None)
    assert verdict["refused"] == verdict["over"] == verdict["n"]


def test_what_neighbours_took_of_the_processor_is_told(
    start_stub: StartStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtest.steal.WORTH_TELLING", 0.0)
    options = ["--rate", "40", "--duration", "1", "--warm-up", "0", "--report", str(tmp_path)]
    result = runner.invoke(app, ["loadtest", "verdict", "--host", start_stub(), *options])
    assert "processor time went to its neighbours meanwhile (steal)" in result.stderr
    page = (tmp_path / "report.html").read_text()
    assert re.search(r"processor time lost to neighbours</th>\s*<td>[0-9.]+ %", page)


def test_a_capacity_says_of_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Capacity(343.0, "service", (Probe(343.0, hand_made_verdict("PASS")),))
    monkeypatch.setattr("loadtest.cli._find_capacity", lambda *_: found)
    command = ["loadtest", "capacity", "--host", "http://127.0.0.1:1", "--texts", "review"]
    result = runner.invoke(app, [*command, "--json"])
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    plan = Plan(host="http://127.0.0.1:1", texts="review")
    assert said == {**plan.asked(), **found.as_dict()}


@pytest.mark.parametrize("command", [["capacity"], ["overload", "--capacity", "343"]])
def test_what_neighbours_took_while_the_service_was_stopped_does_not_count(
    monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    serving = [True]

    @contextmanager
    def host_of(plan: Plan, *_: object) -> Iterator[Plan]:
        yield plan
        serving[0] = False

    found = Capacity(343.0, "service", (Probe(343.0, hand_made_verdict("PASS")),))
    monkeypatch.setattr("loadtest.cli._find_capacity", lambda *_: found)
    monkeypatch.setattr("loadtest.overload.run_overload", lambda *_, **__: found)
    monkeypatch.setattr("loadtest.overload.overload_table", lambda _: "")
    monkeypatch.setattr("loadtest.cli._host_of", host_of)
    monkeypatch.setattr("loadtest.cli.Steal.warning", lambda _: f"serving: {serving[0]}")
    result = runner.invoke(app, ["loadtest", *command])
    assert "serving: True" in result.stderr, result.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_generator_too(
    start_stub: StartStub, tmp_path: Path, number: int
) -> None:
    options = ["--duration", "60", "--report", str(tmp_path)]
    process = subprocess.Popen(
        [SUB50, "loadtest", "verdict", "--host", start_stub(), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # Whoever runs the tests in the background of a script has SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 30
    while not (found := children.read_text().split()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found
    process.send_signal(number)
    assert process.wait(timeout=20) == 128 + number
    for child in found:
        with pytest.raises(ProcessLookupError):
            os.kill(int(child), 0)
