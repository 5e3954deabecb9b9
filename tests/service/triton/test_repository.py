"""A model repository is checked before Triton is started on it."""

from __future__ import annotations

import shutil
import socket
import sys
import time
from pathlib import Path

import onnx
import pytest
from google.protobuf import json_format
from tritonclient.grpc import model_config_pb2

from service.errors import ServeError
from service.triton.ports import reserve_port, reserve_ports
from service.triton.repository import (
    check_model,
    check_repository,
    embedded_config,
    instances_of,
    models_in,
    read_config,
)
from service.triton.server import EmbeddedTriton
from tests.tiny_models import tiny_engine, write_own_card


def write_model(repository: Path, name: str, *, engine: bool = True, extra: str = "") -> Path:
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(f'name: "{name}" backend: "onnxruntime" {extra}')
    if engine:
        onnx.save(tiny_engine(), folder / "1" / "model.onnx")
        write_own_card(folder / "1")
    return folder


def test_models_are_the_folders_with_a_configuration(tmp_path: Path) -> None:
    write_model(tmp_path, "b")
    write_model(tmp_path, "a")
    (tmp_path / "notes").mkdir()
    assert models_in(tmp_path) == ["a", "b"]
    check_repository(tmp_path, ["a", "b"])


def test_missing_folder_and_empty_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match="No model repository at"):
        check_repository(tmp_path / "nowhere", [])
    with pytest.raises(ServeError, match="sub50 engines build"):
        check_repository(tmp_path, [])


def test_missing_engine_is_named_with_the_command_that_builds_it(tmp_path: Path) -> None:
    write_model(tmp_path, "topics", engine=False)
    with pytest.raises(ServeError, match=r"topics/1/model\.onnx.*engines build topics"):
        check_repository(tmp_path, ["topics"])


def test_engine_under_another_name_counts(tmp_path: Path) -> None:
    folder = write_model(tmp_path, "own", extra='default_model_filename: "my.onnx"')
    with pytest.raises(ServeError, match=r"my\.onnx"):
        check_repository(tmp_path, ["own"])
    shutil.copy(folder / "1" / "model.onnx", folder / "1" / "my.onnx")
    with pytest.raises(ServeError, match=r"my\.onnx: .* has no checksum of it; tune"):
        check_repository(tmp_path, ["own"])
    write_own_card(folder / "1", served="my.onnx")
    check_repository(tmp_path, ["own"])


def test_malformed_configuration_is_named(tmp_path: Path) -> None:
    folder = write_model(tmp_path, "bad")
    (folder / "config.pbtxt").write_text("max_batch_size: many")
    with pytest.raises(ServeError, match=r"bad/config\.pbtxt cannot be read"):
        check_repository(tmp_path, ["bad"])


def test_backend_that_is_not_embedded_is_named(tmp_path: Path) -> None:
    folder = write_model(tmp_path, "a")
    (folder / "config.pbtxt").write_text('name: "a" backend: "tensorrt"')
    with pytest.raises(ServeError, match=r"'tensorrt'.*onnxruntime.*sub50 api --triton"):
        check_repository(tmp_path, ["a"])


def test_runtime_that_is_not_installed_is_named_with_the_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it were not installed
    write_model(tmp_path, "a")
    folder = write_model(tmp_path, "b")
    (folder / "config.pbtxt").write_text('backend: "openvino" default_model_filename: "model.onnx"')
    check_repository(tmp_path, ["a"])
    with pytest.raises(
        ServeError, match=r"b asks for openvino.*sub50\[openvino\].*sub50 engines tune b --reset"
    ):
        check_repository(tmp_path, ["a", "b"])


def test_name_that_differs_from_the_folder_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path, "a")
    (folder / "config.pbtxt").write_text('name: "b" backend: "onnxruntime"')
    with pytest.raises(ServeError, match="names its model 'b'"):
        check_repository(tmp_path, ["a"])


def test_embedded_configuration_lets_lengths_mix_and_has_no_queue_policy(tmp_path: Path) -> None:
    inputs = 'input [ { name: "input_ids" data_type: TYPE_INT64 dims: [ -1 ] } ]'
    policy = "default_queue_policy { max_queue_size: 4 default_timeout_microseconds: 5 }"
    priorities = "priority_levels: 2 default_priority_level: 1 priority_queue_policy { key: 1 }"
    batching = f"dynamic_batching {{ max_queue_delay_microseconds: 100 {policy} {priorities} }}"
    folder = write_model(tmp_path, "a", extra=f"{inputs} max_batch_size: 8 {batching}")
    on_disk = read_config(folder / "config.pbtxt")
    embedded = json_format.Parse(embedded_config(folder), model_config_pb2.ModelConfig())
    assert embedded.input[0].allow_ragged_batch
    assert str(embedded.dynamic_batching).split() == ["max_queue_delay_microseconds:", "100"]
    for config in (embedded, on_disk):
        config.ClearField("dynamic_batching")
        config.input[0].allow_ragged_batch = False
    assert embedded == on_disk


def test_model_without_batching_keeps_its_configuration(tmp_path: Path) -> None:
    folder = write_model(tmp_path, "a")
    embedded = json_format.Parse(embedded_config(folder), model_config_pb2.ModelConfig())
    assert embedded == read_config(folder / "config.pbtxt")


def test_unknown_model_is_named(tmp_path: Path) -> None:
    write_model(tmp_path, "a")
    with pytest.raises(ServeError, match=r"absent/config\.pbtxt"):
        check_repository(tmp_path, ["absent"])


def test_names_that_bash_would_read_otherwise_are_refused(tmp_path: Path) -> None:
    write_model(tmp_path, "a;reboot")
    with pytest.raises(ServeError, match="use only letters"):
        check_repository(tmp_path, ["a;reboot"])


def test_busy_port_is_named_with_its_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(ServeError, match=rf"Port {port} .*--grpc-port"):
            reserve_ports("127.0.0.1", {"grpc": port})


def test_free_ports_differ_and_equal_ports_are_refused() -> None:
    ports = reserve_ports("127.0.0.1", {"grpc": 0, "metrics": 0, "http": 0})
    assert len(set(ports.values())) == 3
    free = reserve_port("127.0.0.1", 0, "grpc", "--grpc-port")
    with pytest.raises(ServeError, match="asked for twice"):
        reserve_ports("127.0.0.1", {"grpc": free, "metrics": free})


@pytest.mark.parametrize(("instances", "batches"), [(1, True), (2, False)])
def test_calls_for_several_instances_are_not_joined(
    tmp_path: Path, instances: int, batches: bool
) -> None:
    group = f"instance_group [ {{ count: {instances} kind: KIND_CPU }} ]"
    folder = write_model(tmp_path, "a", extra=f"max_batch_size: 8 dynamic_batching {{}} {group}")
    embedded = json_format.Parse(embedded_config(folder), model_config_pb2.ModelConfig())
    assert embedded.HasField("dynamic_batching") == batches
    assert embedded.max_batch_size == 8


@pytest.mark.parametrize(
    ("cores", "count", "threads", "instances", "threads_each"),
    [
        (2, 1, "0", 2, "1"),
        (7, 1, "0", 2, "3"),
        (1, 1, "0", 1, "0"),
        (8, 1, "8", 1, "8"),
        (8, 3, "0", 3, "0"),
    ],
)
def test_only_an_engine_that_nobody_tuned_is_halved(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    count: int,
    threads: str,
    instances: int,
    threads_each: str,
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: set(range(cores)))
    group = f"instance_group [ {{ count: {count} kind: KIND_CPU }} ]"
    parameter = f'key: "intra_op_thread_count" value {{ string_value: "{threads}" }}'
    folder = write_model(tmp_path, "a", extra=f"{group} parameters {{ {parameter} }}")
    embedded = json_format.Parse(embedded_config(folder), model_config_pb2.ModelConfig())
    assert instances_of(embedded_config(folder)) == instances
    assert embedded.parameters["intra_op_thread_count"].string_value == threads_each


def test_instances_are_those_that_were_loaded(tmp_path: Path) -> None:
    folder = write_model(tmp_path, "a", extra="instance_group [ { count: 3 kind: KIND_CPU } ]")
    triton = EmbeddedTriton(tmp_path)
    triton.configured.configs = {"a": embedded_config(folder)}
    (folder / "config.pbtxt").write_text("changed since, and no configuration")
    assert triton.configured.instances == {"a": 3}


def test_a_disk_that_takes_too_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = check_model

    def slowly(folder: Path, **rest: bool) -> str | None:
        time.sleep(0.2)
        return check(folder, **rest)

    write_model(tmp_path, "a")
    write_model(tmp_path, "b")
    monkeypatch.setattr("service.triton.repository.check_model", slowly)
    with pytest.raises(ServeError, match=r"1 of 2 engines took .* SUB50_TRITON_START_SECONDS"):
        check_repository(tmp_path, ["a", "b"], 0.1)
    check_repository(tmp_path, ["a", "b"], 60)
