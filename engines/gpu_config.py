"""The part of a config.pbtxt that has ONNX Runtime run an engine on a GPU.

It is written for NVIDIA's container. For the embedded Triton the same file is read by
service/triton/on_gpu.py.
"""

from __future__ import annotations

from tritonclient.grpc import model_config_pb2

KINDS = model_config_pb2.ModelInstanceGroup
ACCELERATOR = "cuda"
# A run holds no more padded tokens; a GPU takes hardly longer for many than for few.
GPU_RUN_TOKENS = 4096
# Options of the CUDA provider.
OPTIONS = {
    # The models share the GPU: memory grows by what is asked for, not by powers of two.
    "arena_extend_strategy": "kSameAsRequested",
    # What is left in FP32 keeps its digits.
    "use_tf32": "0",
}


def put_on_gpu(config: model_config_pb2.ModelConfig) -> None:
    """Have all instances run on a GPU, by the CUDA provider with our options."""
    for group in config.instance_group:
        group.kind = KINDS.KIND_GPU
    accelerators = config.optimization.execution_accelerators
    del accelerators.gpu_execution_accelerator[:]
    accelerators.gpu_execution_accelerator.add(name=ACCELERATOR, parameters=OPTIONS)


def record_runs(config: model_config_pb2.ModelConfig) -> None:
    """Have our backend run an engine in large batches, each shape recorded as a CUDA graph.

    NVIDIA's backend passes over both parameters.
    """
    config.parameters["max_run_tokens"].string_value = str(GPU_RUN_TOKENS)
    config.parameters["cuda_graphs"].string_value = "1"


def is_on_gpu(config: model_config_pb2.ModelConfig) -> bool:
    """Whether any instance runs on a GPU."""
    return any(group.kind == KINDS.KIND_GPU for group in config.instance_group)
