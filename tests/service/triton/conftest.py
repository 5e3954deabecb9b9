"""The backends as modules, imported the way Triton's stub imports them."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from service.triton.backends import SHARED
from tests.service.triton.stand_in import INPUTS, utils_module
from tests.tiny_models import write_tiny_model

Load = Callable[..., Any]


@pytest.fixture
def import_backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """`import_backend("onnxruntime")`: its model.py, with the shared modules beside it."""
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", utils_module())
    for folder in {file.parent for file in SHARED}:
        monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield lambda name: importlib.import_module(f"service.triton.backends.{name}.model")
    for name in set(sys.modules) - before:  # they are bound to the stand-in
        if name.startswith("sub50_") or name.startswith("service.triton.backends."):
            del sys.modules[name]


@pytest.fixture
def load_model() -> Callable[..., Any]:
    """`load_model(module, folder, **config)`: an instance of the model in `folder`."""

    def load(module: ModuleType, folder: Path, **config: Any) -> Any:
        given = {
            "input": [{"name": name} for name in INPUTS],
            "output": [{"name": "logits"}],
            "max_batch_size": 32,
        } | config
        model = module.TritonPythonModel()
        model.initialize(
            {
                "model_name": folder.name,
                "model_config": json.dumps(given),
                "model_repository": str(folder),
                "model_version": "1",
            }
        )
        return model

    return load


@pytest.fixture
def load(backend: ModuleType, load_model: Load, tmp_path: Path) -> Load:
    """`load(**config)`: the tiny model under the module's own `backend` fixture."""
    folder = write_tiny_model(tmp_path)
    return lambda **config: load_model(backend, folder, **config)
