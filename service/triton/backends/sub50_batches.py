"""Answers the batches of requests that Triton hands to a Python-based backend.

What the backends share: everything but the engine itself. Lies beside every backend's
`model.py`: it may import nothing of this project.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from sub50_aside import CORES
from sub50_runs import Costs, gather, padded_lengths, plan_runs

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = list[Array]
Engine = Callable[[Arrays], Arrays]

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
MASK_NAME = "attention_mask"
TEXT_INPUTS = {"input_ids", MASK_NAME, "token_type_ids"}
CGROUP_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")


@dataclass
class Ask:
    """One request: its inputs, and its answer as far as it is known.

    `lengths` are what its rows have to be run at, or None where that cannot be told from the
    inputs and rows are run as they came.
    """

    index: int
    inputs: Arrays
    lengths: list[int] | None
    left: int
    outputs: Arrays = field(default_factory=list)
    response: Any = None

    @property
    def rows(self) -> int:
        """How many texts it holds."""
        return len(self.inputs[0])

    def take(self, row: int, outputs: Arrays, position: int) -> None:
        """Keep what the engine answered to one row: `outputs[…][position]`."""
        if not self.outputs:
            self.outputs = [
                np.empty((self.rows, *output.shape[1:]), output.dtype) for output in outputs
            ]
        for kept, output in zip(self.outputs, outputs, strict=True):
            kept[row] = output[position]
        self.left -= 1


@dataclass(frozen=True)
class Batch:
    """One run of the engine for several requests: pairs of a request and one of its rows.

    `length` None: the rows are of equal shape and are stacked as they came.
    """

    length: int | None
    rows: list[tuple[Ask, int]]


class Batcher:
    """Cuts batches of requests into runs of `engine`, which maps inputs to outputs in order.

    Rows are run at one of the ascending `lengths`. `skips_padding`: see `Costs`.
    """

    def __init__(
        self,
        config: dict[str, Any],
        input_names: list[str],
        engine: Engine,
        lengths: Sequence[int],
        skips_padding: bool = False,
    ) -> None:
        self.input_names = input_names
        self.output_names = [tensor["name"] for tensor in config["output"]]
        self.mask = input_names.index(MASK_NAME) if set(input_names) == TEXT_INPUTS else None
        self.engine = engine
        self.lengths = lengths
        self.costs = costs_of(config, skips_padding)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer a batch of requests, each as soon as the last of its rows has been run.

        Shorter rows run first, so that a short text need not wait for a long one. A request that
        is done before the last run is sent its answer then; the others' are returned, which is
        cheaper.
        """
        responses: list[Any] = [None] * len(requests)
        asks = []
        for index, request in enumerate(requests):
            try:
                asks.append(self.read(index, request))
            except Exception as error:
                responses[index] = failure(error)
        batches = list(self.batches(asks))
        for number, batch in enumerate(batches, start=1):
            for ask in self.run(batch):
                if number < len(batches):
                    requests[ask.index].get_response_sender().send(ask.response, flags=FINAL)
                else:
                    responses[ask.index] = ask.response
        return responses

    def read(self, index: int, request: Any) -> Ask:
        """A request's inputs, in the order of the engine's. Raises ValueError if they are wrong."""
        tensors = [pb_utils.get_input_tensor_by_name(request, name) for name in self.input_names]
        if None in tensors:
            missing = self.input_names[tensors.index(None)]
            raise ValueError(f"the request lacks the input {missing}")
        inputs = [tensor.as_numpy() for tensor in tensors]
        rows = {len(array) for array in inputs}
        if len(rows) != 1 or 0 in rows:
            raise ValueError(f"the inputs have {sorted(rows)} rows")
        lengths = None
        if self.mask is not None and all(array.ndim == 2 for array in inputs):
            if len({array.shape for array in inputs}) != 1:
                raise ValueError("the inputs differ in shape")
            lengths = padded_lengths(inputs[self.mask], self.lengths)
        return Ask(index, inputs, lengths, left=rows.pop())

    def batches(self, asks: list[Ask]) -> Iterator[Batch]:
        """The runs for these requests, shortest rows first."""
        planned = [(ask, row) for ask in asks if ask.lengths for row in range(ask.rows)]
        lengths = [ask.lengths[row] for ask, row in planned if ask.lengths]
        for run in plan_runs(lengths, self.costs):
            yield Batch(run.length, [planned[position] for position in run.rows])
        groups: dict[tuple[Any, ...], list[tuple[Ask, int]]] = {}
        for ask in asks:
            if ask.lengths is None:
                shapes = tuple(array.shape[1:] for array in ask.inputs)
                groups.setdefault(shapes, []).extend((ask, row) for row in range(ask.rows))
        for shapes in sorted(groups):
            yield Batch(None, groups[shapes])

    def run(self, batch: Batch) -> list[Ask]:
        """Run a batch; returns the requests that have their response now.

        If the run fails, each of its requests is run alone, and gets its own error.
        """
        rows = [(ask, row) for ask, row in batch.rows if ask.response is None]
        asks = list({id(ask): ask for ask, _ in rows}.values())
        try:
            self.fill(Batch(batch.length, rows))
        except Exception as error:
            for ask in asks:
                ask.response = failure(error) if len(asks) == 1 else self.answer_alone(ask)
            return asks
        done = [ask for ask in asks if ask.left == 0]
        for ask in done:
            ask.response = self.response(ask.outputs)
        return done

    def fill(self, batch: Batch) -> None:
        """Run the engine on the rows of a batch and hand its answers to their requests."""
        if not batch.rows:
            return
        rows = [row for _, row in batch.rows]
        feed = []
        for column in range(len(self.input_names)):
            sources = [ask.inputs[column] for ask, _ in batch.rows]
            if batch.length is None:
                feed.append(np.stack([s[row] for s, row in zip(sources, rows, strict=True)]))
            else:
                feed.append(gather(sources, rows, batch.length))
        outputs = self.engine(feed)
        for name, output in zip(self.output_names, outputs, strict=True):
            if output.shape[:1] != (len(rows),):
                raise ValueError(f"output {name} is {output.shape} for {len(rows)} rows")
        for position, (ask, row) in enumerate(batch.rows):
            ask.take(row, outputs, position)

    def answer_alone(self, ask: Ask) -> Any:
        alone = Ask(ask.index, ask.inputs, ask.lengths, left=ask.rows)
        try:
            for batch in self.batches([alone]):
                self.fill(batch)
        except Exception as error:
            return failure(error)
        return self.response(alone.outputs)

    def response(self, outputs: Arrays) -> Any:
        tensors = map(pb_utils.Tensor, self.output_names, outputs)
        return pb_utils.InferenceResponse(output_tensors=list(tensors))

    def warm_up(self, most_rows: int) -> None:
        """Run every shape that a plan can ask for once, for engines that prepare each anew."""
        if self.mask is None:
            return
        for length in self.lengths:
            for rows in range(1, min(most_rows, self.costs.rows_in_run(length)) + 1):
                self.engine([np.ones((rows, length), dtype=np.int64) for _ in self.input_names])


def check_names(config: dict[str, Any], inputs: set[str], outputs: set[str]) -> None:
    """Raise ValueError if configuration and engine differ in the names of their tensors."""
    in_config = {tensor["name"] for tensor in config["input"]}
    asked = [tensor["name"] for tensor in config["output"]]
    if in_config != inputs or not set(asked) <= outputs:
        raise ValueError(
            f"config.pbtxt has inputs {sorted(in_config)} and outputs {asked}, "
            f"the engine {sorted(inputs)} and {sorted(outputs)}"
        )


def failure(error: Exception) -> Any:
    return pb_utils.InferenceResponse(
        output_tensors=[], error=pb_utils.TritonError(f"the engine failed: {error}")
    )


def engine_path(args: dict[str, str], config: dict[str, Any]) -> Path:
    """Where the engine file of the version that Triton loads lies."""
    file_name = config.get("default_model_filename") or "model.onnx"
    return Path(args["model_repository"]) / args["model_version"] / file_name


def parameters_of(config: dict[str, Any]) -> dict[str, str]:
    """The `parameters` of a config.pbtxt."""
    return {key: entry["string_value"] for key, entry in config.get("parameters", {}).items()}


def costs_of(config: dict[str, Any], skips_padding: bool) -> Costs:
    """How rows are cut into runs, from the parameters of the same names."""
    given = parameters_of(config)
    names = ("run_overhead_tokens", "max_run_tokens")
    chosen = {name: int(given[name]) for name in names if name in given}
    return Costs(**chosen, skips_padding=skips_padding)


def thread_count(text: str) -> int:
    """A thread count from the configuration; 0 means as many as this process has cores."""
    return int(text) or usable_cores()


def usable_cores() -> int:
    """Cores this process may run on: its affinity, and the container's CPU limit if lower."""
    cores = len(CORES)
    try:
        quota, period = CGROUP_CPU_LIMIT.read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # not a version 2 control group, or no limit ("max")
        return cores
