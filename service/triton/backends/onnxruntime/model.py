"""A Python-based Triton backend that serves `<version>/model.onnx` with ONNX Runtime.

It takes the place of NVIDIA's C++ backend of the same name where only the Python backend is
at hand, so that one model repository runs on both: the parameters read here are the C++
backend's own (https://github.com/triton-inference-server/onnxruntime_backend). One thing is
added, ONNX Runtime's own configuration keys (`session.…`), which the C++ backend ignores.
Triton imports this file by its path: it may import nothing of this project.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

Arrays = list[np.ndarray[Any, np.dtype[Any]]]
Shapes = tuple[tuple[int, ...], ...]

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL

# The C++ backend's reading of `optimization { graph { level: … } }`.
OPTIMIZATION_LEVELS = {
    -1: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
CGROUP_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")


class TritonPythonModel:
    """One instance of one model: an ONNX Runtime session and the names of its tensors."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the engine; a file that cannot be loaded fails the model with the reason."""
        config = json.loads(args["model_config"])
        file_name = config.get("default_model_filename") or "model.onnx"
        path = Path(args["model_repository"]) / args["model_version"] / file_name
        try:
            self.session = ort.InferenceSession(
                str(path), session_options(config), providers=["CPUExecutionProvider"]
            )
            self.input_names = [tensor.name for tensor in self.session.get_inputs()]
            self.output_names = [tensor["name"] for tensor in config["output"]]
            self.check_names(config)
        except Exception as error:
            raise pb_utils.TritonModelException(f"{path}: {error}") from error

    def check_names(self, config: dict[str, Any]) -> None:
        """Raise ValueError if configuration and engine differ in the names of their tensors."""
        in_config = {tensor["name"] for tensor in config["input"]}
        outputs = {tensor.name for tensor in self.session.get_outputs()}
        if in_config != set(self.input_names) or not set(self.output_names) <= outputs:
            raise ValueError(
                f"config.pbtxt has inputs {sorted(in_config)} and outputs {self.output_names}, "
                f"the engine {sorted(self.input_names)} and {sorted(outputs)}"
            )

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer a batch of requests: one run of the engine for each length, shortest first.

        The embedded server lets a batch hold texts of different lengths. Padding all to the
        longest would cost more than it saves, and a short text need not wait for a long one: it
        is answered as soon as its own run is done.
        """
        responses: list[Any] = [None] * len(requests)
        groups: dict[Shapes, list[tuple[int, Arrays]]] = {}
        for index, request in enumerate(requests):
            try:
                inputs = self.inputs_of(request)
            except Exception as error:
                responses[index] = failure(error)
                continue
            shapes = tuple(array.shape[1:] for array in inputs)
            groups.setdefault(shapes, []).append((index, inputs))
        for position, shapes in enumerate(sorted(groups), start=1):
            group = groups[shapes]
            answers = self.answer_group([inputs for _, inputs in group])
            for (index, _), answer in zip(group, answers, strict=True):
                if position < len(groups):
                    requests[index].get_response_sender().send(answer, flags=FINAL)
                else:  # returned, which is cheaper
                    responses[index] = answer
        return responses

    def inputs_of(self, request: Any) -> Arrays:
        """The input arrays of a request, in the order of the engine's inputs."""
        tensors = [pb_utils.get_input_tensor_by_name(request, name) for name in self.input_names]
        if None in tensors:
            missing = self.input_names[tensors.index(None)]
            raise ValueError(f"the request lacks the input {missing}")
        return [tensor.as_numpy() for tensor in tensors]

    def answer_group(self, group: list[Arrays]) -> list[Any]:
        """Responses for requests of equal shape: all in one run, or each alone if that fails."""
        if len(group) == 1:
            return [self.answer_one(group[0])]
        try:
            outputs = self.run([np.concatenate(column) for column in zip(*group, strict=True)])
        except Exception:
            return [self.answer_one(inputs) for inputs in group]
        responses = []
        start = 0
        for inputs in group:
            end = start + len(inputs[0])
            responses.append(self.response([output[start:end] for output in outputs]))
            start = end
        return responses

    def answer_one(self, inputs: Arrays) -> Any:
        try:
            return self.response(self.run(inputs))
        except Exception as error:
            return failure(error)

    def run(self, inputs: Arrays) -> Arrays:
        feed = dict(zip(self.input_names, inputs, strict=True))
        outputs: Arrays = self.session.run(self.output_names, feed)
        return outputs

    def response(self, outputs: Arrays) -> Any:
        tensors = map(pb_utils.Tensor, self.output_names, outputs)
        return pb_utils.InferenceResponse(output_tensors=list(tensors))


def failure(error: Exception) -> Any:
    return pb_utils.InferenceResponse(
        output_tensors=[], error=pb_utils.TritonError(f"the engine failed: {error}")
    )


def session_options(config: dict[str, Any]) -> ort.SessionOptions:
    """ONNX Runtime's options out of a model's configuration, with the C++ backend's names."""
    values = {key: entry["string_value"] for key, entry in config.get("parameters", {}).items()}
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


def is_true(text: str) -> bool:
    return text.strip().lower() in ("1", "true", "on", "yes")


def thread_count(text: str) -> int:
    """A thread count from the configuration; 0 means as many as this process has cores."""
    return int(text) or usable_cores()


def usable_cores() -> int:
    """Cores this process may run on: its affinity, and the container's CPU limit if lower."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = CGROUP_CPU_LIMIT.read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # not a version 2 control group, or no limit ("max")
        return cores
