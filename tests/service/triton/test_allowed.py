"""What a model's folder may ask of Triton, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.catalog import CATALOG
from engines.model_config import tuned_config
from engines.runtimes import Candidate
from service.errors import ServeError
from service.triton.allowed import PARAMETERS, check_config
from service.triton.repository import check_repository
from tests.tiny_models import write_tiny_model


def refused(repository: Path) -> str:
    with pytest.raises(ServeError) as caught:
        check_repository(repository, ["tiny"])
    return str(caught.value)


def with_line(tmp_path: Path, line: str) -> Path:
    config = write_tiny_model(tmp_path) / "config.pbtxt"
    text = config.read_text()
    if "_scheduling" in line or "sequence_" in line:  # a model has but one scheduler
        text = text.replace("dynamic_batching {  }", "")
    config.write_text(f"{text}{line}\n")
    return config


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('platform: "ensemble"', "platform"),
        ("ensemble_scheduling { }", "ensemble_scheduling"),
        ("sequence_batching { }", "sequence_batching"),
        ('model_operations { op_library_filename: "evil.so" }', "model_operations"),
        ('model_repository_agents { agents { name: "evil" } }', "model_repository_agents"),
        ('model_warmup { name: "w" }', "model_warmup"),
        ('runtime: "/tmp/libevil.so"', "runtime"),
        ('cc_model_filenames { key: "8.0" value: "/etc/passwd" }', "cc_model_filenames"),
        ("model_transaction_policy { decoupled: true }", "model_transaction_policy"),
        ("response_cache { enable: true }", "response_cache"),
        ('batch_input { target_name: "x" }', "batch_input"),
        (
            'optimization { execution_accelerators { cpu_execution_accelerator { name: "x" } } }',
            "optimization.execution_accelerators.cpu_execution_accelerator",
        ),
        ('instance_group { host_policy: "evil" }', "instance_group.host_policy"),
        ("input { is_shape_tensor: true }", "input.is_shape_tensor"),
    ],
)
def test_fields_beyond_an_engine_are_named(tmp_path: Path, line: str, named: str) -> None:
    config = with_line(tmp_path, line)
    assert f"{config} sets {named}, which is not served" in refused(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "EXECUTION_ENV_PATH",
        "FORCE_CPU_ONLY_INPUT_TENSORS",
        "session.model_external_initializers_file_folder_path",
        "session.use_ort_model_bytes_directly",
        "ep.context_file_path",
    ],
)
def test_parameters_that_point_elsewhere_are_named(tmp_path: Path, name: str) -> None:
    with_line(tmp_path, f'parameters {{ key: "{name}" value {{ string_value: "/tmp/x" }} }}')
    assert f"sets the parameter '{name}', which is not served" in refused(tmp_path)


@pytest.mark.parametrize(
    ("accelerator", "told"),
    [
        ('name: "tensorrt"', "names the accelerator 'tensorrt', which is not served"),
        (
            'name: "cuda" parameters { key: "tunable_op_path" value: "/tmp/x" }',
            "sets the option 'tunable_op_path' of the accelerator 'cuda', which is not served",
        ),
    ],
)
def test_accelerators_and_their_options_are_named(
    tmp_path: Path, accelerator: str, told: str
) -> None:
    line = f"execution_accelerators {{ gpu_execution_accelerator {{ {accelerator} }} }}"
    config = with_line(tmp_path, f"optimization {{ {line} }}")
    assert refused(tmp_path).startswith(f"{config} {told}")


@pytest.mark.parametrize(
    "name", ["../other/1/model.onnx", "/tmp/model.onnx", "x;reboot.onnx", "$(id).onnx", "model.py"]
)
def test_engine_files_elsewhere_are_named(tmp_path: Path, name: str) -> None:
    with_line(tmp_path, f'default_model_filename: "{name}"')
    assert f"sets default_model_filename to {name!r}" in refused(tmp_path)


def test_labels_elsewhere_are_named(tmp_path: Path) -> None:
    with_line(tmp_path, 'output { name: "x" label_filename: "../../etc/passwd" }')
    assert "sets label_filename to '../../etc/passwd'" in refused(tmp_path)


def test_python_backend_is_refused(tmp_path: Path) -> None:
    config = write_tiny_model(tmp_path) / "config.pbtxt"
    config.write_text(config.read_text().replace('"onnxruntime"', '"python"'))
    assert "asks for backend 'python'; the embedded Triton has" in refused(tmp_path)


@pytest.mark.parametrize("folder", [".", "1"])
@pytest.mark.parametrize(
    "name",
    ["triton_python_backend_stub", "model.py", "libtriton_onnxruntime.so", "weights.bin", "a.pt"],
)
def test_files_that_triton_could_run_are_named(tmp_path: Path, folder: str, name: str) -> None:
    path = write_tiny_model(tmp_path) / folder / name
    path.write_bytes(b"")
    assert refused(tmp_path).startswith(f"{path} is no file of an engine")


def test_files_of_ours_and_hidden_ones_pass(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path)
    for name in ("labels.txt", "README.md", ".DS_Store", "1/card.md"):
        (folder / name).write_text("")
    (folder / ".building-x").mkdir()
    check_repository(tmp_path, ["tiny"])


@pytest.mark.parametrize(
    "candidate",
    [
        Candidate("onnxruntime", "INT8", 1, 2),
        Candidate("openvino", "INT8", 1, 2),
        Candidate("openvino", "BF16", 2, 1),
        Candidate("onnxruntime", "FP16", 1, 2),
    ],
)
def test_all_that_tuning_writes_is_allowed(candidate: Candidate) -> None:
    written = tuned_config(CATALOG["topics"], candidate, overhead_tokens=16, max_tokens=128)
    assert set(written.parameters) <= PARAMETERS
    check_config(written, Path("config.pbtxt"))
