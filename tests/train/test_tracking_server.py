"""Records on a real MLflow server, where one is installed: the whole of `mlflow` has 850 MB.

In this environment (`pip install mlflow`), or elsewhere, its command named in `MLFLOW_COMMAND`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engines.catalog import spec_of
from engines.cli import engines_app
from engines.model_config import write_model_files
from engines.tracking import tracked
from engines.tracking_store import VARIABLE, is_installed
from tests.deploy.running import free_port
from tests.tiny import card, write_model, write_version

START_SECONDS = 120


def server_command() -> str | None:
    """The `mlflow` that can serve, or None: ours is its small client alone."""
    named = os.environ.get("MLFLOW_COMMAND")
    if named:
        return shutil.which(named)
    try:
        metadata.version("mlflow")
    except metadata.PackageNotFoundError:
        return None
    return str(Path(sys.executable).with_name("mlflow"))


pytestmark = pytest.mark.skipif(
    server_command() is None or not is_installed(),
    reason="MLflow's server is not installed; name its command in MLFLOW_COMMAND",
)


class Server:
    """An MLflow server with its store in a folder."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.uri = f"http://127.0.0.1:{port}"
        command = [
            *(str(server_command()), "server", "--host", "127.0.0.1", "--port", str(port)),
            *("--backend-store-uri", f"sqlite:///{folder / 'server.db'}"),
            *("--artifacts-destination", str(folder / "artifacts"), "--workers", "1"),
        ]
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                stdout=log,
                stderr=log,
                env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
                start_new_session=True,
            )

    def wait(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
                return
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.2)

    def end(self) -> None:
        """Kill it, and what it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Server]]:
    started: list[Server] = []

    def one() -> Server:
        server = Server(tmp_path_factory.mktemp("mlflow"))
        started.append(server)
        server.wait()
        return server

    yield one
    for server in started:
        server.end()


@pytest.fixture(scope="module")
def server(start: Callable[[], Server]) -> Server:
    return start()


def client(server: Server) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=server.uri, registry_uri=server.uri)


def test_a_run_its_files_and_its_model_are_on_the_server(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "card.json"
    kept.write_text('{"name": "mood"}')
    parameters = {f"p{number}": number for number in range(130)}
    with tracked("finetune", "mood", parameters, {"train.csv": "a" * 64}, server.uri) as run:
        for step in range(3):
            run.metric("accuracy", 0.5 + step / 10, step)
        run.metric("loss", float("nan"))
        run.artifact(kept)
        run.text("found.json", {"best": 1})
        child = run.child("trial 0", {"rank": 4})
        child.end()
        run.register("mood", adapter_sha256="a" * 64)
    # Standard output is for JSON, and nothing was wrong.
    assert capsys.readouterr() == ("", "")
    found = client(server)
    recorded = found.get_run(run.run_id)
    assert recorded.info.status == "FINISHED"
    assert recorded.data.params == {name: str(value) for name, value in parameters.items()}
    assert recorded.data.tags["data.train.csv"] == "a" * 64
    history = found.get_metric_history(run.run_id, "accuracy")
    assert [(point.step, point.value) for point in history] == [(0, 0.5), (1, 0.6), (2, 0.7)]
    files = sorted(each.path for each in found.list_artifacts(run.run_id))
    assert files == ["card.json", "found.json"]
    local = found.download_artifacts(run.run_id, "card.json", str(tmp_path))
    assert Path(local).read_text() == kept.read_text()
    assert found.get_run(child.run_id).data.tags["mlflow.parentRunId"] == run.run_id
    (version,) = found.search_model_versions("name='mood'")
    assert (version.run_id, version.tags["adapter_sha256"]) == (run.run_id, "a" * 64)


def test_the_alias_follows_promote_and_rollback(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, server.uri)
    repository = tmp_path / "repository"
    write_model(repository, card("weather"))
    write_model_files(spec_of(card("weather")), repository)
    shutil.rmtree(repository / "weather" / "1")
    write_version(repository / "weather" / "1", card("weather"), engine=b"first")
    write_version(tmp_path / "next", card("weather", version="2"), engine=b"second")

    def run(verb: str, *arguments: str) -> Any:
        options = [verb, "weather", *arguments, "--repository", str(repository), "--json"]
        ended = CliRunner().invoke(engines_app, options)
        assert ended.exit_code == 0, ended.output
        return json.loads(ended.stdout)

    def served() -> dict[str, str]:
        found = client(server).get_model_version_by_alias("weather", "served")
        return dict(found.tags)

    assert run("promote", str(tmp_path / "next"))["version"] == "2"
    second = served()
    assert second["repository_version"] == "2"
    assert run("rollback")["version"] == "1"
    assert served()["repository_version"] == "1"
    assert served()["engine_sha256"] != second["engine_sha256"]


def test_a_server_that_goes_away_costs_the_rest_of_the_record_and_a_line(
    start: Callable[[], Server], capsys: pytest.CaptureFixture[str]
) -> None:
    server = start()
    with tracked("finetune", "mood", {"rank": 1}, {}, server.uri) as run:
        run.metric("accuracy", 0.5)
        assert client(server).get_run(run.run_id).data.metrics == {"accuracy": 0.5}
        server.end()
        for step in range(20):
            run.metric("accuracy", 0.6, step)
        run.register("mood", adapter_sha256="1")
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert "refused" in line
    assert line.endswith("the work goes on")
