"""Engines that run on a GPU: what their configuration says, and what the embedded Triton is told.

What a model was tuned from lies beside its engine for the GPU. Where there is no GPU, that one can
stand in for it.

config.pbtxt is written for NVIDIA's container: instances on a GPU, and options of ONNX Runtime's
CUDA provider where that backend reads them. The embedded Triton has nothing to do with GPUs. It
starts our backend, which opens one itself, so it is told of processors, and our backend of the
rest, by parameters that no file may set.
"""

from __future__ import annotations

from tritonclient.grpc import model_config_pb2

from core import onnx_runtime
from core.card import ENGINE_FILE
from service.errors import ServeError

KINDS = model_config_pb2.ModelInstanceGroup
PROVIDER_PARAMETER = "execution_provider"
OPTION_PREFIX = "cuda."
# What tuning sets for a GPU, and a processor does otherwise.
GPU_PARAMETERS = ("cuda_graphs", "max_run_tokens", "run_overhead_tokens")
THREADS_PARAMETER = "intra_op_thread_count"
ALL_CORES = "0"


def runs_on_gpu(config: model_config_pb2.ModelConfig) -> bool:
    """Whether a configuration asks for a GPU."""
    return any(group.kind == KINDS.KIND_GPU for group in config.instance_group)


def why_not_on_gpu(config: model_config_pb2.ModelConfig, name: str) -> str | None:
    """Why a model that asks for a GPU gets none here, as far as is known before it is tried.

    Raises:
        ServeError: it asks for one, and for a runtime that has nothing to do with GPUs here.
    """
    if not runs_on_gpu(config):
        return None
    back = f"or go back with `sub50 engines tune {name} --reset`."
    if config.backend != "onnxruntime":
        raise ServeError(
            f"Model {name} asks for a GPU and for {config.backend}, which runs on processors here: "
            f"tune it anew, {back}"
        )
    found = onnx_runtime.installed_runtimes()
    if onnx_runtime.GPU in found:
        return None
    there = " ".join(next(iter(found.items()), ("no ONNX Runtime", "")))
    return (
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


def put_on_processors(config: model_config_pb2.ModelConfig) -> None:
    """Change a configuration that asks for a GPU to that of the engine it was tuned from."""
    config.default_model_filename = ENGINE_FILE
    del config.instance_group[:]
    config.instance_group.add(kind=KINDS.KIND_CPU, count=1)
    config.ClearField("optimization")
    for name in GPU_PARAMETERS:
        config.parameters.pop(name, None)
    config.parameters[THREADS_PARAMETER].string_value = ALL_CORES
