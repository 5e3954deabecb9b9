"""Runs recorded in a real MLflow store, a SQLite file; and stores that cannot be reached."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from core.versions import Served, write_served
from engines.errors import EngineError
from engines.registry import mark_served, mark_served_aside
from engines.revision import git_revision
from engines.tracking import flat, tracked
from engines.tracking_store import DEFAULT_URI, VARIABLE, Store, is_installed, tracking_uri
from tests.tiny import card, write_model, write_version

needs_mlflow = pytest.mark.skipif(
    not is_installed(), reason="MLflow is not installed; run `make setup-train`"
)
# Its stores leave their connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without runs; MLflow takes seconds to make one."""
    path = tmp_path_factory.mktemp("empty") / "new/tracking.db"
    Store(f"sqlite:///{path}").attempt(lambda client: client.search_experiments())
    return path


@pytest.fixture
def uri(empty: Path, tmp_path: Path) -> str:
    (tmp_path / "made").mkdir()
    shutil.copy(empty, tmp_path / "made/tracking.db")
    return f"sqlite:///{tmp_path / 'made/tracking.db'}"


def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def runs(uri: str, verb: str) -> list[Any]:
    found = client(uri)
    experiment = found.get_experiment_by_name(f"sub50-{verb}")
    return list(found.search_runs([experiment.experiment_id], order_by=["start_time"]))


@needs_mlflow
def test_a_run_is_recorded_with_what_it_was_made_of(uri: str, tmp_path: Path) -> None:
    kept = tmp_path / "card.json"
    kept.write_text("{}")
    parameters = {"recipe": {"rank": 8, "seed": 50}, "method": "lora"}
    checksums = {"topics": {"train.jsonl.gz": "a" * 64}}
    with tracked("finetune", "mood", parameters, checksums, uri) as run:
        run.metric("accuracy", 0.5, step=1)
        run.metric("accuracy", 0.75, step=2)
        run.artifact(kept)
        run.text("found.json", {"best": 1})
        run.tag("note (of mine)", "yes")
    (recorded,) = runs(uri, "finetune")
    assert recorded.info.status == "FINISHED"
    assert recorded.info.run_name == "mood"
    assert recorded.data.params == {"recipe.rank": "8", "recipe.seed": "50", "method": "lora"}
    assert recorded.data.metrics == {"accuracy": 0.75}
    history = client(uri).get_metric_history(recorded.info.run_id, "accuracy")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.75)]
    tags = recorded.data.tags
    assert tags["data.topics.train.jsonl.gz"] == "a" * 64
    assert tags["mlflow.source.git.commit"] == git_revision()[0]
    assert tags["git.dirty"] in ("true", "false")
    assert tags["version.numpy"]
    assert tags["note _of mine_"] == "yes"
    files = tmp_path / "made/artifacts" / recorded.info.run_id / "artifacts"
    assert sorted(path.name for path in files.iterdir()) == ["card.json", "found.json"]
    assert json.loads((files / "found.json").read_text()) == {"best": 1}


@needs_mlflow
def test_trials_are_runs_within_a_run(uri: str) -> None:
    with tracked("search", "mood", {}, {}, uri) as run:
        child = run.child("trial 0", {"rank": 4})
        child.metric("accuracy", 0.9, 1)
        child.end()
    parent, trial = sorted(runs(uri, "search"), key=lambda each: len(each.data.params))
    assert trial.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert trial.info.run_name == "trial 0"
    assert (trial.info.status, trial.data.params["rank"]) == ("FINISHED", "4")


@needs_mlflow
@pytest.mark.parametrize(
    ("error", "status"), [(EngineError("no"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_a_run_that_ends_early_says_how(uri: str, error: BaseException, status: str) -> None:
    with pytest.raises(type(error)), tracked("search", "mood", {}, {}, uri):
        raise error
    assert runs(uri, "search")[0].info.status == status


@needs_mlflow
@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "sqlite:////proc/nowhere/tracking.db"])
def test_a_store_that_is_down_costs_a_line(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with tracked("finetune", "mood", {"rank": 1}, {"a": "b"}, address) as run:
        run.metric("accuracy", 0.5)
        run.child("trial 0", {}).end()
        run.register("mood", adapter_sha256="1")
    told = capsys.readouterr().err.splitlines()
    assert len([line for line in told if "not tracked in" in line]) == 1
    assert "the work goes on" in told[-1]


def test_without_mlflow_the_work_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("engines.tracking_store.is_installed", lambda: False)
    with tracked("finetune", "mood", {}, {}, "sqlite:///never/made.db") as run:
        run.metric("accuracy", 0.5)
    assert "pip install 'sub50[track]'" in capsys.readouterr().err


def test_none_turns_tracking_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with tracked("finetune", "mood", {}, {}) as run:
        run.metric("accuracy", 0.5)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""


def test_the_store_is_chosen_by_option_then_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking_uri() is None
    assert tracking_uri("http://127.0.0.1:5000") == "http://127.0.0.1:5000"
    monkeypatch.delenv("SUB50_TRACKING_URI")
    assert tracking_uri() == DEFAULT_URI
    with pytest.raises(EngineError, match="'postgres://x': give sqlite:///FILE"):
        tracking_uri("postgres://x")


def test_nested_values_get_one_name() -> None:
    assert dict(flat({"a": {"b": 1, "c": {"d": 2}}, "e": 3})) == {"a.b": 1, "a.c.d": 2, "e": 3}


def test_the_revision_is_that_of_the_checkout(tmp_path: Path) -> None:
    assert git_revision(tmp_path) == ("unknown", False)

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-qm", "one")
    commit = git("rev-parse", "HEAD").strip()
    assert git_revision(tmp_path) == (commit, False)
    (tmp_path / "file").write_text("2")
    assert git_revision(tmp_path) == (commit, True)


def promoted(repository: Path, version: str, **checksums: Any) -> None:
    made = card("mood", version=version, **checksums)
    write_version(repository / "mood" / version, made, mark=version.encode())
    write_served(repository / "mood", Served(version=version))


def served_in(uri: str) -> Any:
    return client(uri).get_model_version_by_alias("mood", "served")


@needs_mlflow
def test_the_alias_follows_what_serves(uri: str, tmp_path: Path) -> None:
    from core.card import read_card

    repository = tmp_path / "repository"
    write_model(repository, card("mood"))
    with tracked("finetune", "mood", {}, {}, uri) as run:
        run.register("mood", adapter_sha256="a" * 64)
    promoted(repository, "2", adapter_sha256="a" * 64)
    # What training registered is found by its adapter, and not made again.
    assert mark_served("mood", repository, uri) == "1"
    assert served_in(uri).run_id == run.run_id
    assert served_in(uri).tags["repository_version"] == "2"
    # What was never registered becomes a version, with its card.
    promoted(repository, "3")
    assert mark_served("mood", repository, uri) == "2"
    tags = served_in(uri).tags
    assert tags["engine_sha256"] == read_card(repository / "mood/3").engine_sha256
    kept = tmp_path / "made/artifacts" / served_in(uri).run_id / "artifacts/card.json"
    assert json.loads(kept.read_text())["version"] == "3"
    # And back.
    write_served(repository / "mood", Served(version="2"))
    assert mark_served("mood", repository, uri) == "1"
    assert len(client(uri).search_model_versions("name='mood'")) == 2


@needs_mlflow
def test_the_alias_follows_from_a_process_of_its_own(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, uri)
    repository = tmp_path / "repository"
    write_model(repository, card("mood"))
    mark_served_aside("mood", repository)
    assert int(served_in(uri).version) == 1


def test_a_wrong_address_is_told_from_there_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "ftp://x")
    mark_served_aside("mood", tmp_path / "repository")
    assert "ftp://x" in capfd.readouterr().err


def test_promoting_makes_no_store(tmp_path: Path) -> None:
    write_model(tmp_path / "repository", card("mood"))
    uri = f"sqlite:///{tmp_path / 'made/tracking.db'}"
    assert mark_served("mood", tmp_path / "repository", uri) is None
    assert not (tmp_path / "made").exists()


def test_a_wrong_address_does_not_fail_a_promotion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(tmp_path / "repository", card("mood"))
    assert mark_served("mood", tmp_path / "repository", "ftp://x") is None
    assert "not registered" in capsys.readouterr().err
