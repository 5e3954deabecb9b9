"""A Python-based Triton backend that serves an ONNX file with OpenVINO.

It takes the place of NVIDIA's C++ backend of the same name. The parameters are that backend's
own where it has them (https://github.com/triton-inference-server/openvino_backend), and else
OpenVINO's properties by their names, which the C++ backend ignores: INFERENCE_PRECISION_HINT,
ENABLE_HYPER_THREADING, ENABLE_CPU_PINNING.
Triton imports this file by its path: it may import nothing of this project but what is laid
beside it.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import openvino
import triton_python_backend_utils as pb_utils
from sub50_batches import Batcher, check_names, engine_path, parameters_of, thread_count
from sub50_runs import BUCKET_LENGTHS
from sub50_verified import verified_bytes

Arrays = list[np.ndarray[Any, np.dtype[Any]]]

DEFAULTS = {
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": "1",
    # On processors that multiply bf16, OpenVINO would take it even for an INT8 engine, whose
    # answers then move with their batch-mates.
    "INFERENCE_PRECISION_HINT": "f32",
    # All the threads that were asked for, be they on cores of their own or not.
    "ENABLE_HYPER_THREADING": "YES",
    # Every instance would pin its threads to the same first cores.
    "ENABLE_CPU_PINNING": "NO",
}


class TritonPythonModel:
    """One instance of one model: a compiled engine, warm for every shape, and what feeds it."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the engine; a file that cannot be loaded fails the model with the reason."""
        config = json.loads(args["model_config"])
        path = engine_path(args, config)
        try:
            core = openvino.Core()
            graph = core.read_model(verified_bytes(path), b"")
            engine = core.compile_model(graph, "CPU", properties(config))
            input_names = [port.any_name for port in engine.inputs]
            output_names = {name for port in engine.outputs for name in port.names}
            check_names(config, set(input_names), output_names)
            self.request = engine.create_infer_request()
            self.batcher = Batcher(config, input_names, self.run, lengths_of(config))
            # Kernels are made for each shape: its first run takes up to 40 ms longer.
            self.batcher.warm_up(most_rows=max(1, int(config.get("max_batch_size", 0))))
        except Exception as error:
            raise pb_utils.TritonModelException(f"{path}: {error}") from error

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer a batch of requests."""
        responses: list[Any] = self.batcher.execute(requests)
        return responses

    def run(self, inputs: Arrays) -> Arrays:
        """The engine's outputs for one batch, both in the order of their names.

        The arrays are OpenVINO's own and hold until the next run.
        """
        feed = dict(zip(self.batcher.input_names, inputs, strict=True))
        self.request.infer(feed, share_inputs=True, share_outputs=True)
        return [self.request.get_tensor(name).data for name in self.batcher.output_names]


def lengths_of(config: dict[str, Any]) -> tuple[int, ...]:
    """The lengths that an engine is run at; one of fewer positions says with `max_tokens` so.

    Raises ValueError for a number that is none, or under the shortest length.
    """
    most = int(parameters_of(config).get("max_tokens", BUCKET_LENGTHS[-1]))
    if most < BUCKET_LENGTHS[0]:
        raise ValueError(f"max_tokens is {most}, less than {BUCKET_LENGTHS[0]}")
    return tuple(length for length in BUCKET_LENGTHS if length <= most)


def properties(config: dict[str, Any]) -> dict[str, str]:
    """OpenVINO's properties out of a model's configuration.

    Raises ValueError for a thread count that is no number.
    """
    given = parameters_of(config)
    # The C++ backend's own name for one of the hints.
    if given.get("HINT_BF16", "").upper() == "YES":
        given.setdefault("INFERENCE_PRECISION_HINT", "bf16")
    chosen = {name: given.get(name, value) for name, value in DEFAULTS.items()}
    threads = thread_count(given.get("INFERENCE_NUM_THREADS", "0"))
    return chosen | {"INFERENCE_NUM_THREADS": str(threads)}
