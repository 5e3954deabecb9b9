"""What the verbs leave in a real MLflow store, a SQLite file."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from core.card import ENGINE_FILE
from engines.base import CACHE, SHA256
from engines.checksums import file_sha256
from engines.cli import engines_app
from engines.tracking_store import is_installed
from tests.engines.tiny_checkpoints import write_checkpoint
from tests.train.test_trainer import made_texts

pytest.importorskip("torch", reason="the training side is not installed; run `make setup-train`")
pytestmark = [
    pytest.mark.skipif(
        not is_installed() or not all((CACHE / name).is_file() for name in SHA256),
        reason="MLflow is not installed (`make setup-train`), or the base encoder not fetched",
    ),
    # MLflow's stores leave their connections to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),
]


def recorded(uri: str, verb: str) -> tuple[Any, list[Any]]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.get_experiment_by_name(f"sub50-{verb}")
    assert experiment is not None
    return client, list(client.search_runs([experiment.experiment_id]))


def run(*arguments: str) -> dict[str, Any]:
    ended = CliRunner().invoke(engines_app, [*arguments, "--json"])
    assert ended.exit_code == 0, ended.output
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def write_labelled(path: Path, count: int, seed: int) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        rows.writerows((item.text, ("bad", "good")[item.label]) for item in made_texts(count, seed))
    return path


def test_what_was_fine_tuned_then_distilled(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'tracking.db'}"
    data = write_labelled(tmp_path / "notes.csv", 300, 1)
    out = tmp_path / "mood"
    options = ["--data", str(data), "--base", str(CACHE), "--max-tokens", "32"]
    options += ["--threads", "1", "--tracking-uri", uri]
    card = run("finetune", "mood", *options, "--epochs", "2", "--no-build", "--out", str(out))[
        "card"
    ]
    client, (tuned,) = recorded(uri, "finetune")
    assert tuned.info.status == "FINISHED"
    assert tuned.data.params["method"] == "lora"
    assert tuned.data.params["seed"] == "50"
    assert tuned.data.tags["data.notes.csv"] == file_sha256(data)
    figures = card["figures"]["validation"]
    assert tuned.data.metrics["validation.accuracy"] == figures["accuracy"]
    losses = [each.value for each in client.get_metric_history(tuned.info.run_id, "loss")]
    assert losses == [epoch["loss"] for epoch in card["history"]]
    (version,) = client.search_model_versions("name='mood'")
    assert version.tags["adapter_sha256"] == card["adapter_sha256"]
    assert [each.path for each in client.list_artifacts(tuned.info.run_id)] == ["card.json"]

    made = tmp_path / "students"
    teacher = ["--teacher", str(out), "--layers", "1", "--epochs", "1", "--out", str(made)]
    run("distill", "mood", *options, *teacher)
    client, runs = recorded(uri, "distill")
    (parent,) = [each for each in runs if "mlflow.parentRunId" not in each.data.tags]
    (student,) = [each for each in runs if each is not parent]
    assert student.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert student.data.params == {"layers": "1"}
    assert parent.data.tags["data.sha256"]
    assert len(client.search_model_versions("name='mood'")) == 2


def test_what_was_imported(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'tracking.db'}"
    folder = write_checkpoint(tmp_path / "bert", "BertForSequenceClassification")
    repository = tmp_path / "repository"
    options = ["--name", "mine", "--repository", str(repository), "--tracking-uri", uri]
    run("import", str(folder), *options)
    client, (imported,) = recorded(uri, "import")
    assert imported.data.params["source"] == str(folder)
    assert imported.data.metrics["invariance"] <= 2e-3
    (version,) = client.search_model_versions("name='mine'")
    assert version.tags["engine_sha256"] == file_sha256(repository / "mine" / "1" / ENGINE_FILE)
