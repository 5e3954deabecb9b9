"""A model file that is not the card's, or no plain ONNX, is refused wherever one is taken in."""

from __future__ import annotations

import ast
import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
import pytest
from onnx import helper

from engines.catalog import CATALOG
from engines.deliver import Fit, deliver
from engines.engine_folder import engine_card
from engines.errors import EngineError
from engines.gate_command import run_gate
from engines.model_config import write_model_files
from engines.promote import promote
from service.errors import PromotionError, ServeError
from service.models import ModelCatalog
from service.triton.loader import VersionLoader
from service.triton.repository import check_repository, embedded_config, refused_versions
from tests.service.triton.conftest import import_backend, load_model
from tests.tiny import card, write_version
from tests.tiny_models import tiny_engine, write_own_card, write_tiny_model

ROOT = Path(__file__).parent.parent
__all__ = ["import_backend", "load_model"]  # fixtures


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """`sentiment`, version 1, with an engine of a few plain operators."""
    folder = tmp_path / "repository"
    write_model_files(CATALOG["sentiment"], folder)
    write_version(folder / "sentiment" / "1", card("sentiment"))
    onnx.save(tiny_engine(), folder / "sentiment" / "1" / "model.onnx")
    write_own_card(folder / "sentiment" / "1")
    return folder


def make_foreign(version: Path) -> None:
    """An engine with an operator from elsewhere, and the card of just that engine."""
    model = tiny_engine()
    model.graph.node.append(helper.make_node("Exploit", [], ["x"], domain="com.example"))
    onnx.save(model, version / "model.onnx")
    write_own_card(version)


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_the_start_takes_what_is_whole(repository: Path) -> None:
    check_repository(repository, ["sentiment"])
    assert ModelCatalog.load(repository).named("sentiment").version == "1"


def test_the_start_refuses_a_changed_engine(repository: Path) -> None:
    engine = repository / "sentiment" / "1" / "model.onnx"
    flip_a_bit(engine)
    with pytest.raises(ServeError) as caught:
        check_repository(repository, ["sentiment"])
    assert f"{engine}: it is damaged or another file than the card was made for" in str(
        caught.value
    )
    assert "sub50 engines build sentiment" in str(caught.value)


def test_the_start_refuses_a_changed_tokenizer(repository: Path) -> None:
    tokenizer = repository / "sentiment" / "1" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + " ")
    with pytest.raises(ServeError, match=r"tokenizer\.json: it is damaged or another file"):
        ModelCatalog.load(repository)


def test_the_start_refuses_an_engine_without_a_card(repository: Path) -> None:
    (repository / "sentiment" / "1" / "card.json").unlink()
    with pytest.raises(ServeError, match=r"lacks .*card\.json"):
        check_repository(repository, ["sentiment"])


def taken_in_by(name: str, repository: Path, version: Path) -> None:
    if name == "start":
        shutil.rmtree(repository / "sentiment" / "1")
        shutil.copytree(version, repository / "sentiment" / "1")
        check_repository(repository, ["sentiment"])
    elif name == "promote":
        promote("sentiment", str(version), repository)
    elif name == "evaluate":
        engine_card(version)
    else:
        shutil.rmtree(repository / "sentiment" / "1")
        shutil.copytree(version, repository / "sentiment" / "1")
        if name == "gate":
            run_gate("sentiment", None, repository)
        else:
            deliver(repository, repository.parent / "delivered", None, Fit())


@pytest.mark.parametrize("way", ["start", "promote", "gate", "deliver", "evaluate"])
def test_an_operator_from_elsewhere_is_refused_by(
    repository: Path, tmp_path: Path, way: str
) -> None:
    version = tmp_path / "sentiment" / "1"
    shutil.copytree(repository / "sentiment" / "1", version)
    make_foreign(version)
    with pytest.raises((ServeError, EngineError), match=r"operator com\.example\.Exploit"):
        taken_in_by(way, repository, version)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_backend_runs_only_the_bytes_of_the_card(
    tmp_path: Path, request: pytest.FixtureRequest, load_model: Callable[..., Any], name: str
) -> None:
    """Every start of an engine goes through it: the first, a promotion, one after a crash."""
    if name == "openvino":  # the package, before our backend of that name is in the path
        pytest.importorskip("openvino", reason="OpenVINO is not installed")
    backend = request.getfixturevalue("import_backend")(name)
    folder = write_tiny_model(tmp_path)
    load_model(backend, folder)
    flip_a_bit(folder / "1" / "model.onnx")
    with pytest.raises(Exception, match="it is damaged or another file than the card was made for"):
        load_model(backend, folder)


def test_a_backend_runs_what_tuning_laid_there_if_the_card_has_its_checksum(
    tmp_path: Path, import_backend: Callable[[str], ModuleType], load_model: Callable[..., Any]
) -> None:
    backend, folder = import_backend("onnxruntime"), write_tiny_model(tmp_path)
    shutil.copy(folder / "1" / "model.onnx", folder / "1" / "model.fp32.onnx")
    served = {"default_model_filename": "model.fp32.onnx"}
    with pytest.raises(Exception, match="no checksum of it; tune the model again"):
        load_model(backend, folder, **served)
    write_own_card(folder / "1", served="model.fp32.onnx")
    load_model(backend, folder, **served)
    flip_a_bit(folder / "1" / "model.fp32.onnx")
    with pytest.raises(Exception, match="it is damaged"):
        load_model(backend, folder, **served)


def test_a_version_beside_code_is_not_loaded(repository: Path) -> None:
    (repository / "sentiment" / "triton_python_backend_stub").write_text("#!/bin/sh\n")

    async def keep() -> None:
        configs = {"sentiment": embedded_config(repository / "sentiment")}
        loader = VersionLoader("127.0.0.1:1", (), configs, repository=repository)
        try:
            await loader.keep("sentiment", ["1"])
        finally:
            await loader.close()

    with pytest.raises(PromotionError, match="triton_python_backend_stub is no file of an engine"):
        asyncio.run(keep())


def test_what_came_since_the_start_is_looked_at_when_a_model_is_loaded_anew(
    repository: Path,
) -> None:
    configs = {"sentiment": embedded_config(repository / "sentiment", ["1"])}
    assert refused_versions(repository, configs) == {}
    stub = repository / "sentiment" / "triton_python_backend_stub"
    stub.write_text("#!/bin/sh\n")
    assert str(stub) in refused_versions(repository, configs)["sentiment"]
    stub.rename(repository / "sentiment" / "1" / "libtriton_onnxruntime.so")
    assert "libtriton_onnxruntime.so" in refused_versions(repository, configs)["sentiment"]
    (repository / "sentiment" / "1" / "libtriton_onnxruntime.so").unlink()
    make_foreign(repository / "sentiment" / "1")
    assert "operator com.example.Exploit" in refused_versions(repository, configs)["sentiment"]
    shutil.rmtree(repository / "sentiment" / "1")
    assert "sentiment/1" in refused_versions(repository, configs)["sentiment"]


def test_no_module_unpickles() -> None:
    """Weights are safetensors, arrays come without objects, PyTorch's own state without code."""
    found = []
    for package in ("core", "service", "engines", "loadtest", "benchmarks"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if reason := unpickling(node):
                    found.append(f"{path.relative_to(ROOT)}: {reason}")
    assert found == []


FORBIDDEN = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


def unpickling(node: ast.AST) -> str:
    if isinstance(node, ast.Import):
        names = {alias.name.partition(".")[0] for alias in node.names} & FORBIDDEN
        return ", ".join(names)
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").partition(".")[0] if node.module in FORBIDDEN else ""
    if not isinstance(node, ast.Call):
        return ""
    called = ast.unparse(node.func)
    given = {each.arg: ast.unparse(each.value) for each in node.keywords}
    if called in ("np.load", "numpy.load") and given.get("allow_pickle", "False") != "False":
        return f"{called} with allow_pickle"
    if called == "torch.load" and given.get("weights_only") != "True":
        return f"{called} without weights_only=True"
    if given.get("trust_remote_code", "False") != "False":
        return f"{called} with trust_remote_code"
    return called if called in ("yaml.load", "yaml.unsafe_load", "pd.read_pickle") else ""
