"""Engines that run on a GPU: what their configuration says, and what the embedded Triton is told.

config.pbtxt is written for NVIDIA's container: instances on a GPU, and options of ONNX Runtime's
CUDA provider where that backend reads them. The embedded Triton has nothing to do with GPUs. It
starts our backend, which opens one itself, so it is told of processors, and our backend of the
rest, by parameters that no file may set.
"""

from __future__ import annotations

from tritonclient.grpc import model_config_pb2

from core import onnx_runtime
from service.errors import ServeError

KINDS = model_config_pb2.ModelInstanceGroup
PROVIDER_PARAMETER = "execution_provider"
OPTION_PREFIX = "cuda."


def runs_on_gpu(config: model_config_pb2.ModelConfig) -> bool:
    """Whether a configuration asks for a GPU."""
    return any(group.kind == KINDS.KIND_GPU for group in config.instance_group)


def check_on_gpu(config: model_config_pb2.ModelConfig, name: str) -> None:
    """Raise ServeError where a model asks for a GPU that its runtime cannot use as installed."""
    if not runs_on_gpu(config):
        return
    back = f"or go back with `sub50 engines tune {name} --reset`."
    if config.backend != "onnxruntime":
        raise ServeError(
            f"Model {name} asks for a GPU and for {config.backend}, which runs on processors here: "
            f"tune it anew, {back}"
        )
    found = onnx_runtime.installed_runtimes()
    if onnx_runtime.GPU not in found:
        there = " ".join(next(iter(found.items()), ("no ONNX Runtime", "")))
        raise ServeError(
            f"Model {name} asks for a GPU, for which {onnx_runtime.GPU} is needed, and what is "
            f"installed is {there.strip()}: `make setup-gpu` puts one in place of the other, {back}"
        )


def tell_backend(config: model_config_pb2.ModelConfig) -> None:
    """Change a configuration that asks for a GPU, so that our backend opens it."""
    for group in config.instance_group:
        group.kind = KINDS.KIND_CPU
    config.parameters[PROVIDER_PARAMETER].string_value = "cuda"
    for each in config.optimization.execution_accelerators.gpu_execution_accelerator:
        for option, value in each.parameters.items():
            config.parameters[f"{OPTION_PREFIX}{option}"].string_value = value
    config.optimization.ClearField("execution_accelerators")
