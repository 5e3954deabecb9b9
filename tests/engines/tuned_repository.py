"""A repository with the model `topics`, tuned and asked by the commands themselves."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from typer.testing import CliRunner

from core.card import ENGINE_FILE, Timing, read_card, write_card
from core.checksums import file_sha256
from engines.catalog import CATALOG
from engines.runtimes import Candidate
from engines.tune_apply import apply
from engines.tune_report import Tuned
from engines.tune_subject import subjects
from service.cli import app
from tests.engines.tiny_plan import tiny_reference
from tests.tiny import card, write_version

QUICK = ("--seconds", "0.1", "--lengths", "20:1")
TIMES = [
    Timing(
        batch=1, tokens=tokens, threads=1, p50_ms=1 + 0.02 * tokens, p99_ms=9, texts_per_second=1,
        reference_p50_ms=1,
    )
    for tokens in (32, 128)
]  # fmt: skip


def write_built(version: Path) -> None:
    """A version folder of `topics` as it was built, with a graph of random weights."""
    labels = list(CATALOG["topics"].labels)
    built = card("topics", version=version.name, labels=labels, precision="INT8", timings=TIMES)
    write_version(version, built, engine=tiny_reference().SerializeToString())


def tune(repository: Path, *arguments: str) -> None:
    """`sub50 engines tune topics`, which has to succeed."""
    command = ["engines", "tune", "topics", *arguments, "--repository", str(repository)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output


def gate(repository: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """`sub50 engines gate topics`: its exit status, its JSON, and what it says."""
    command = ["engines", "gate", "topics", *arguments, "--repository", str(repository), "--json"]
    done = CliRunner().invoke(app, command)
    assert done.stdout, done.output
    return done.exit_code, json.loads(done.stdout), done.stderr


def put_other(version: Path, file: str) -> None:
    """Another graph in the place of an engine file, as if the card had been made for it."""
    onnx.save(tiny_reference(seed=9), version / file)
    found = read_card(version)
    sha256 = file_sha256(version / file)
    changes: dict[str, object] = {}
    if file == ENGINE_FILE:
        changes["engine_sha256"] = sha256
    if found.tuning is not None and found.tuning.engine_file == file:
        changes["tuning"] = found.tuning.model_copy(update={"engine_sha256": sha256})
    write_card(found.model_copy(update=changes), version)


def without_openvino(patch: pytest.MonkeyPatch) -> None:
    """Take OpenVINO away."""
    patch.setitem(sys.modules, "openvino", None)  # as if it were not installed


def serve_by(repository: Path, candidate: Candidate) -> None:
    """Have the served version run so, as tuning writes it where that candidate wins.

    The version's own graph is what FP32, BF16 and FP16 then run.
    """
    (subject,) = subjects(["topics"], repository)
    tuned = Tuned("topics", subject.card.version, "20:1", [], {}, candidate, 1.0, 0.1)
    apply(tuned, subject, subject.folder / ENGINE_FILE)
