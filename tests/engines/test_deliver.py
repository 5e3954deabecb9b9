"""Engines on their way to a server: the bytes that were built arrive, and no others do."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig
from typer.testing import CliRunner

from core.versions import Served, write_served
from engines.catalog import CATALOG
from engines.checksum_list import checksum_lines, read_checksums
from engines.deliver import Fit, deliver
from engines.errors import EngineError
from engines.gpu_config import OPTIONS, put_on_gpu
from engines.model_config import read_config, write_model_files
from service.cli import app
from service.models import ModelCatalog
from tests.tiny import card, empty_engine, write_version

runner = CliRunner()
ENGINE = Path("sentiment/1/model.onnx")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "built"
    for name in ("sentiment", "topics"):
        labels = CATALOG[name].labels
        write_model_files(CATALOG[name], folder)
        write_version(folder / name / "1", card(name, labels=list(labels)), mark=name.encode())
    return folder


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def checksums(tmp_path: Path, source: Path) -> Path:
    path = tmp_path / "engines.sha256"
    path.write_text("\n".join(checksum_lines(source)) + "\n")
    return path


def models_in(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("*/config.pbtxt"))


def test_the_service_reads_what_was_delivered(
    source: Path, destination: Path, checksums: Path
) -> None:
    delivered = deliver(source, destination, checksums, Fit())
    assert delivered == read_checksums(checksums)
    assert [model.name for model in ModelCatalog.load(destination).all()] == ["sentiment", "topics"]
    assert (destination / ENGINE).read_bytes() == empty_engine(b"sentiment")


def test_sha256sum_reads_the_list(source: Path, checksums: Path) -> None:
    assert shutil.which("sha256sum")
    subprocess.run(["sha256sum", "--check", "--strict", checksums], cwd=source, check=True)


def test_only_the_version_that_serves_is_delivered(source: Path, destination: Path) -> None:
    write_version(source / "sentiment" / "2", card("sentiment", version="2"), mark=b"newer")
    write_served(source / "sentiment", Served(version="1"))
    deliver(source, destination, None, Fit())
    assert not (destination / "sentiment" / "2").exists()
    # Then the newest serves, and nothing is left of the one before.
    write_served(source / "sentiment", Served(version="2"))
    deliver(source, destination, None, Fit())
    assert sorted(path.name for path in (destination / "sentiment").glob("[0-9]*")) == ["2"]


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_corrupted_engine_is_not_delivered(source: Path, destination: Path) -> None:
    deliver(source, destination, None, Fit())
    flip_a_bit(source / ENGINE)
    with pytest.raises(EngineError, match=r"sentiment/1/model.onnx is damaged .* build"):
        deliver(source, destination, None, Fit())
    assert models_in(destination) == []  # not even the ones that were there before


def rebuilt(source: Path) -> None:
    """Another engine, with a card that vouches for it."""
    shutil.rmtree(source / "sentiment" / "1")
    write_version(source / "sentiment" / "1", card("sentiment"), mark=b"evil")


def another_model(source: Path) -> None:
    write_model_files(CATALOG["general"], source)
    write_version(source / "general" / "1", card("general", task="summarize", output="embedding"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (rebuilt, "sentiment/1/model.onnx has SHA-256 "),
        (lambda source: flip_a_bit(source / "topics" / "config.pbtxt"), "topics/config.pbtxt has"),
        (
            lambda source: (source / "topics" / "labels.txt").unlink(),
            "labels.txt is listed and not",
        ),
        (another_model, "general/config.pbtxt is there and not listed; general/1/card.json is"),
    ],
)
def test_nothing_but_what_is_listed_is_delivered(
    source: Path,
    destination: Path,
    checksums: Path,
    change: Callable[[Path], None],
    said: str,
) -> None:
    change(source)
    with pytest.raises(EngineError, match="not the engines of") as caught:
        deliver(source, destination, checksums, Fit())
    assert said in str(caught.value)
    assert models_in(destination) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# nothing yet\n\n", "lists no file; write it with `sub50 engines checksums"),
        ("abc  sentiment/1/model.onnx\n", "line 1 is not a SHA-256 and a path"),
        (f"{'0' * 64}  ../secret\n", "line 1 is not a SHA-256 and a path within"),
    ],
)
def test_a_list_that_is_none_is_refused(
    source: Path, destination: Path, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "list").write_text(text)
    with pytest.raises(EngineError) as caught:
        deliver(source, destination, tmp_path / "list", Fit())
    assert said in str(caught.value)
    with pytest.raises(EngineError, match="cannot read the list of checksums"):
        deliver(source, destination, tmp_path / "missing", Fit())


def test_an_engine_that_did_not_pass_its_gate_is_not_delivered(
    source: Path, destination: Path
) -> None:
    shutil.rmtree(source / "sentiment" / "1")
    gate = {"passed": False, "reasons": ["too slow"]}
    write_version(source / "sentiment" / "1", card("sentiment", gate=gate))
    with pytest.raises(EngineError, match="did not pass its gate: too slow"):
        deliver(source, destination, None, Fit())


def test_a_bad_copy_is_noticed(
    source: Path, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A volume that returns other bytes than were written."""
    whole = shutil.copyfile

    def half(copied: Path, target: Path) -> None:
        whole(copied, target)
        if target.name == "model.onnx":
            target.write_bytes(target.read_bytes()[:-1])

    monkeypatch.setattr(shutil, "copyfile", half)
    with pytest.raises(EngineError, match=r"differs from .* after copying"):
        deliver(source, destination, None, Fit())
    assert models_in(destination) == []


def test_nothing_is_delivered_onto_itself(source: Path) -> None:
    for destination in (source, source / "inside", source.parent):
        with pytest.raises(EngineError, match="must be apart"):
            deliver(source, destination, None, Fit())
    assert models_in(source) == ["sentiment", "topics"]


def test_threads_fit_the_container(source: Path, destination: Path) -> None:
    deliver(source, destination, None, Fit(cores=4, instances=2))
    config = parsed(destination / "sentiment" / "config.pbtxt")
    assert [group.count for group in config.instance_group] == [2]
    assert config.parameters["intra_op_thread_count"].string_value == "2"
    assert not config.HasField("dynamic_batching")
    deliver(source, destination, None, Fit(cores=3))
    config = read_config(destination / "sentiment" / "config.pbtxt")
    assert [group.count for group in config.instance_group] == [1]
    assert config.parameters["intra_op_thread_count"].string_value == "3"
    assert config.HasField("dynamic_batching")
    with pytest.raises(EngineError, match=r"--cores 1 do not suffice for --instances 2"):
        Fit(cores=1, instances=2)
    with pytest.raises(EngineError, match="say with --cores what --instances 2 are to share"):
        Fit(instances=2)


def parsed(path: Path) -> ModelConfig:
    return text_format.Parse(path.read_text(), ModelConfig())


def test_engines_go_to_the_gpu(source: Path, destination: Path) -> None:
    deliver(source, destination, None, Fit(device="gpu"))
    config = read_config(destination / "topics" / "config.pbtxt")
    kinds = [type(group).Kind.Name(group.kind) for group in config.instance_group]
    assert kinds == ["KIND_GPU"]
    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert (accelerator.name, dict(accelerator.parameters)) == ("cuda", OPTIONS)


def test_what_knows_no_gpu_is_named(source: Path, destination: Path) -> None:
    path = source / "topics" / "config.pbtxt"
    path.write_text(path.read_text().replace('"onnxruntime"', '"openvino"'))
    with pytest.raises(EngineError, match=r"'openvino' on a GPU; .* tune topics --reset"):
        deliver(source, destination, None, Fit(device="gpu"))
    assert models_in(destination) == []


def test_engines_of_a_gpu_go_to_no_processor(source: Path, destination: Path) -> None:
    path = source / "topics" / "config.pbtxt"
    config = read_config(path)
    put_on_gpu(config)
    path.write_text(text_format.MessageToString(config))
    with pytest.raises(EngineError, match=r"--device gpu, or go back .* topics --reset"):
        deliver(source, destination, None, Fit(cores=2))
    assert models_in(destination) == []
    deliver(source, destination, None, Fit(device="gpu"))
    config = read_config(destination / "topics" / "config.pbtxt")
    assert len(config.optimization.execution_accelerators.gpu_execution_accelerator) == 1


def test_the_commands(source: Path, destination: Path, tmp_path: Path) -> None:
    listed = runner.invoke(app, ["engines", "checksums", "--repository", str(source)])
    assert listed.exit_code == 0
    (tmp_path / "list").write_text(listed.stdout)
    command = ["engines", "deliver", str(source), str(destination)]
    options = ["--checksums", str(tmp_path / "list"), "--cores", "2", "--instances", "2", "--json"]
    done = runner.invoke(app, command + options)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == read_checksums(tmp_path / "list")
    flip_a_bit(source / ENGINE)
    refused = runner.invoke(app, command + options)
    assert refused.exit_code == 1
    assert "is damaged or another file" in refused.stderr
