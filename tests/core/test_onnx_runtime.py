"""Two distributions of ONNX Runtime in one environment are named, with what mends it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from core import onnx_runtime
from core.onnx_runtime import CPU, GPU, clash, installed_runtimes
from service.cli import app
from service.errors import ServeError
from service.triton.installation import find_installation

ROOT = Path(__file__).parent.parent.parent


def install(folder: Path, name: str, version: str) -> None:
    """What pip leaves of a distribution beside its files."""
    information = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    information.mkdir(parents=True)
    text = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n"
    (information / "METADATA").write_text(text, encoding="utf-8")


def test_one_of_them_is_as_it_should_be(tmp_path: Path) -> None:
    assert clash([str(tmp_path)]) is None
    install(tmp_path, GPU, "1.31.1")
    assert installed_runtimes([str(tmp_path)]) == {GPU: "1.31.1"}
    assert clash([str(tmp_path)]) is None


def test_both_are_named_with_the_two_commands_that_mend_it(tmp_path: Path) -> None:
    install(tmp_path, CPU, "1.31.0")
    install(tmp_path, GPU, "1.31.1")
    told = clash([str(tmp_path)])
    assert told is not None
    assert told.startswith("onnxruntime 1.31.0 and onnxruntime-gpu 1.31.1 are installed together")
    assert "`pip uninstall --yes onnxruntime onnxruntime-gpu`" in told
    assert "`pip install --no-deps onnxruntime-gpu==1.31.1` for an NVIDIA GPU" in told
    assert "`pip install --no-deps onnxruntime==1.31.0` for processors" in told


def test_they_are_found_in_several_folders(tmp_path: Path) -> None:
    install(tmp_path / "one", CPU, "1.31.1")
    install(tmp_path / "two", "onnxruntime-openvino", "1.24.1")
    told = clash([str(tmp_path / "one"), str(tmp_path / "two")])
    assert told is not None
    assert "`pip install --no-deps onnxruntime-gpu` for an NVIDIA GPU" in told
    assert clash([str(tmp_path / "one")]) is None


@pytest.fixture
def both_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other distribution, beside the one that the tests run with."""
    (there,) = installed_runtimes()
    install(tmp_path, CPU if there == GPU else GPU, "1.31.1")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("both_installed")
def test_the_embedded_triton_does_not_start_on_a_mixture() -> None:
    with pytest.raises(ServeError, match=r"installed together.*pip uninstall --yes"):
        find_installation()


@pytest.mark.usefixtures("both_installed")
def test_engines_are_not_made_with_a_mixture(tmp_path: Path) -> None:
    command = ["engines", "build", "topics", "--repository", str(tmp_path / "models")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert done.stderr.startswith("error: onnxruntime")
    assert "are installed together" in done.stderr
    assert not (tmp_path / "models").exists()


def test_the_two_are_asked_for_at_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {
        requirement.name: requirement.specifier
        for line in [*project["dependencies"], *project["optional-dependencies"]["gpu"]]
        for requirement in [Requirement(line)]
    }
    assert asked[CPU] == asked[GPU]
    pins = dict(re.findall(r"(?m)^(\S+)==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8")))
    assert pins[CPU] == pins[GPU]
    assert {CPU, GPU} <= {canonicalize_name(name) for name in onnx_runtime.DISTRIBUTIONS}
