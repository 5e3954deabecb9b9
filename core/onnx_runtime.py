"""Which distributions of ONNX Runtime are installed: they share one folder and break each other.

`onnxruntime` and `onnxruntime-gpu` both write `onnxruntime/`. pip lets them be installed together;
the folder then holds files of both, and uninstalling either takes files of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import distributions
from typing import Any

CPU, GPU = "onnxruntime", "onnxruntime-gpu"
# Those on PyPI that write the same folder.
DISTRIBUTIONS = (
    CPU,
    GPU,
    "onnxruntime-migraphx",
    "onnxruntime-openvino",
    "onnxruntime-qnn",
    "onnxruntime-rocm",
    "onnxruntime-training",
)


def installed_runtimes(path: Sequence[str] | None = None) -> dict[str, str]:
    """Versions of the distributions that bring ONNX Runtime, by name.

    `path` are the folders to look in; by default where Python looks.
    """
    where: dict[str, Any] = {} if path is None else {"path": list(path)}
    found: dict[str, str] = {}
    for name in DISTRIBUTIONS:
        for distribution in distributions(name=name, **where):
            found.setdefault(name, distribution.version)
    return found


def clash(path: Sequence[str] | None = None) -> str | None:
    """What is wrong and what to do where several are installed; None where at most one is."""
    found = installed_runtimes(path)
    if len(found) < 2:
        return None
    listed = " and ".join(f"{name} {version}" for name, version in found.items())
    remove = f"`pip uninstall --yes {' '.join(found)}`"
    return (
        f"{listed} are installed together: all of them are the Python package `onnxruntime`, and "
        f"what is left of it is a mixture. Remove them with {remove}, then install one: "
        f"{_install(GPU, found)} for an NVIDIA GPU, or {_install(CPU, found)} for processors alone"
    )


def _install(name: str, found: dict[str, str]) -> str:
    """The command that installs one of them, without what it would bring: that is there."""
    version = found.get(name)
    return f"`pip install --no-deps {name}{f'=={version}' if version else ''}`"
