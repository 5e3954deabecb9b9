"""A Python-based Triton backend that serves `<version>/model.onnx` with ONNX Runtime.

It takes the place of NVIDIA's C++ backend of the same name where only the Python backend is
at hand, so that one model repository runs on both: the parameters read here are the C++
backend's own (https://github.com/triton-inference-server/onnxruntime_backend). What is added,
ONNX Runtime's own configuration keys (`session.…`) and how rows are cut into runs
(`max_run_tokens`, `run_overhead_tokens`), the C++ backend ignores. An engine on a GPU is run as
`sub50_cuda` says; `execution_provider` and `cuda.…` come from the service, which reads what the C++
backend would out of the file.
Triton imports this file by its path: it may import nothing of this project but what is laid
beside it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import sub50_aside

sub50_aside.import_first("numpy", "onnxruntime")

import numpy as np  # noqa: E402
import onnxruntime as ort  # noqa: E402
import sub50_cuda  # noqa: E402
import triton_python_backend_utils as pb_utils  # noqa: E402
from sub50_batches import (  # noqa: E402
    Batcher,
    check_names,
    costs_of,
    engine_path,
    parameters_of,
    thread_count,
)
from sub50_runs import BUCKET_LENGTHS, EVERY_LENGTH  # noqa: E402
from sub50_verified import verified_bytes  # noqa: E402

Arrays = list[np.ndarray[Any, np.dtype[Any]]]

GPU_LOST_STATUS = 70

# The C++ backend's reading of `optimization { graph { level: … } }`.
OPTIMIZATION_LEVELS = {
    -1: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


class TritonPythonModel:
    """One instance of one model: an ONNX Runtime session and what feeds it."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the engine; a file that cannot be loaded fails the model with the reason."""
        config = json.loads(args["model_config"])
        path = engine_path(args, config)
        try:
            self.session = load(path, session_options(config), cuda_options(config))
            input_names = [tensor.name for tensor in self.session.get_inputs()]
            output_names = {tensor.name for tensor in self.session.get_outputs()}
            check_names(config, set(input_names), output_names)
            self.bound = bound_engine(self.session, config)
            self.batcher = Batcher(
                config,
                input_names,
                self.run,
                EVERY_LENGTH if self.bound is None else self.bound.lengths,
                skips_padding(self.session),
            )
            if self.bound is not None:
                self.bound.warm_up()
        except Exception as error:
            raise pb_utils.TritonModelException(f"{path}: {error}") from error

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer a batch of requests."""
        responses: list[Any] = self.batcher.execute(requests)
        return responses

    def run(self, inputs: Arrays) -> Arrays:
        """The engine's outputs for one batch, both in the order of their names."""
        feed = dict(zip(self.batcher.input_names, inputs, strict=True))
        if self.bound is not None:
            return self.run_on_gpu(self.bound, feed)
        outputs: Arrays = self.session.run(self.batcher.output_names, feed)
        return outputs

    def run_on_gpu(self, bound: sub50_cuda.BoundEngine, feed: dict[str, Any]) -> Arrays:
        """The outputs, or the end of this process, where the GPU does nothing more for it.

        Who keeps Triton starts it anew then, with the GPU if it is back, and else without.
        """
        try:
            outputs: Arrays = bound.run(feed)
        except Exception as error:
            if not bound.runs_at_all():
                print(f"the GPU runs nothing any more: {error}", file=sys.stderr, flush=True)
                os._exit(GPU_LOST_STATUS)
            raise
        return outputs


def load(
    path: Path, options: ort.SessionOptions, on_gpu: dict[str, str] | None = None
) -> ort.InferenceSession:
    """The engine of a file; beside others that serve, without taking a core from them.

    `on_gpu` are the options of the CUDA provider, where that is to run it.

    Raises NotOnGpu where it cannot.
    """
    # CUDA starts threads of its own.
    starts_threads = (
        options.intra_op_num_threads != 1 or options.inter_op_num_threads != 1 or on_gpu is not None
    )
    aside = sub50_aside.on_one_core if starts_threads else sub50_aside.in_spare_time

    # The bytes that were checked, not the path: the file may change in between.
    def opened() -> ort.InferenceSession:
        if on_gpu is not None:
            return sub50_cuda.open_session(verified_bytes(path), options, on_gpu)
        providers = ["CPUExecutionProvider"]
        return ort.InferenceSession(verified_bytes(path), options, providers=providers)

    return aside(opened)


def cuda_options(config: dict[str, Any]) -> dict[str, str] | None:
    """Options of the CUDA provider out of a model's configuration; None on a processor."""
    values = parameters_of(config)
    if values.get("execution_provider") != "cuda":
        return None
    given = {
        key.removeprefix("cuda."): value for key, value in values.items() if key.startswith("cuda.")
    }
    options: dict[str, str] = sub50_cuda.provider_options(
        given, graphs=is_true(values.get("cuda_graphs", "0"))
    )
    return options


def bound_engine(
    session: ort.InferenceSession, config: dict[str, Any]
) -> sub50_cuda.BoundEngine | None:
    """What runs a session on the GPU; None on a processor."""
    if cuda_options(config) is None:
        return None
    return sub50_cuda.BoundEngine(
        session,
        [tensor["name"] for tensor in config["output"]],
        BUCKET_LENGTHS,
        costs_of(config, skips_padding=False).max_run_tokens,
    )


def session_options(config: dict[str, Any]) -> ort.SessionOptions:
    """ONNX Runtime's options out of a model's configuration, with the C++ backend's names."""
    values = parameters_of(config)
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors: they reach Triton's log
    options.intra_op_num_threads = thread_count(values.get("intra_op_thread_count", "0"))
    options.inter_op_num_threads = thread_count(values.get("inter_op_thread_count", "0"))
    if values.get("execution_mode", "0") == "1":
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    options.enable_cpu_mem_arena = is_true(values.get("enable_mem_arena", "1"))
    options.enable_mem_pattern = is_true(values.get("enable_mem_pattern", "1"))
    level = int(config.get("optimization", {}).get("graph", {}).get("level", 0))
    options.graph_optimization_level = OPTIMIZATION_LEVELS.get(
        level, ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    )
    # Every instance is a process with its own threads on the same cores: a thread that spins
    # while it waits takes the core from the instance that has work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    for key, value in values.items():
        if key.startswith("session."):
            options.add_session_config_entry(key, value)
    return options


def skips_padding(session: ort.InferenceSession) -> bool:
    """Whether the engine says of itself that it drops padding at its entrance."""
    return bool(session.get_modelmeta().custom_metadata_map.get("padding") == "skipped")


def is_true(text: str) -> bool:
    return text.strip().lower() in ("1", "true", "on", "yes")
