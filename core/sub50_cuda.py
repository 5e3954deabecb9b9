"""Runs an engine on an NVIDIA GPU, by ONNX Runtime's CUDA provider, in shapes that recur.

A GPU works through an encoder faster than a processor tells it what to do. So inputs and outputs
have fixed places on the GPU, one set for each shape, and the work of each shape is recorded once,
as a CUDA graph, and replayed
(https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html). For that shapes have
to be few: texts are padded to the next of the lengths, rows filled up to the next power of two.

Serving and measuring run engines with this. It is laid beside the backends' `model.py` too: it may
import nothing of this project.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort

Array = np.ndarray[Any, np.dtype[Any]]

PROVIDER = "CUDAExecutionProvider"
RECORD = "enable_cuda_graph"
MASK_NAME = "attention_mask"
MAX_TOKENS = "max_tokens"
NEEDED = (
    "it needs an NVIDIA GPU of compute capability 7.5 or newer (2018), NVIDIA's driver 580 or "
    "newer, and onnxruntime-gpu with CUDA 13 and cuDNN 9 (`make setup-gpu`)"
)
NEXT_STEP = "look at `nvidia-smi`; to go on on the processor, `sub50 engines tune MODEL --reset`"


class NotOnGpu(RuntimeError):
    """An engine cannot be run on a GPU here. The message says what was found and what to do."""


def provider_options(given: Mapping[str, str], graphs: bool) -> dict[str, str]:
    """Options of the CUDA provider by its own names: those given, and whether runs are recorded."""
    return {"device_id": "0", **given, RECORD: "1" if graphs else "0"}


def open_session(
    engine: str | bytes, options: ort.SessionOptions, chosen: Mapping[str, str]
) -> ort.InferenceSession:
    """A session whose engine runs on the GPU.

    Args:
        engine: path or contents of an ONNX file.
        options: those of the session.
        chosen: those of the provider, see `provider_options`.

    Raises:
        NotOnGpu: it does not; ONNX Runtime by itself would go on on the processor. A graph whose
            runs cannot be recorded is opened without.
    """
    available = ort.get_available_providers()
    if PROVIDER not in available:
        raise NotOnGpu(
            f"the engine is to run on a GPU, and this ONNX Runtime {ort.__version__} has "
            f"{', '.join(available)} and not {PROVIDER}; {NEEDED}; {NEXT_STEP}"
        )
    with redirect_stdout(sys.stderr):  # what it cannot find it prints
        ort.preload_dlls()
    try:
        return _opened(engine, options, chosen)
    except NotOnGpu:
        if chosen.get(RECORD) != "1":
            raise
    # Of a graph that has a part on the processor no run can be recorded, and its session not made.
    return _opened(engine, options, {**chosen, RECORD: "0"})


def _opened(
    engine: str | bytes, options: ort.SessionOptions, chosen: Mapping[str, str]
) -> ort.InferenceSession:
    providers = [(PROVIDER, dict(chosen)), "CPUExecutionProvider"]
    try:
        session = ort.InferenceSession(engine, options, providers=providers, enable_fallback=0)
    except Exception as error:
        raise _cannot_run(error) from error
    require_provider(session.get_providers())
    return session


def _cannot_run(error: Exception) -> NotOnGpu:
    return NotOnGpu(
        f"the GPU cannot run the engine: {error}; {NEEDED}, with memory to spare; {NEXT_STEP}"
    )


def is_recorded(session: ort.InferenceSession) -> bool:
    """Whether the runs of a session are recorded and replayed."""
    options: Mapping[str, str] = session.get_provider_options().get(PROVIDER, {})
    return options.get(RECORD) == "1"


def require_provider(providers: Sequence[str]) -> None:
    """Raise NotOnGpu unless a session's providers begin with CUDA's.

    Where a library of CUDA is missing, ONNX Runtime writes a warning and leaves the provider out.
    """
    if not providers or providers[0] != PROVIDER:
        raise NotOnGpu(
            f"ONNX Runtime took {', '.join(providers)} and not {PROVIDER}, which could not be "
            f"loaded; {NEEDED}; {NEXT_STEP}"
        )


@dataclass(frozen=True)
class Buffers:
    """Where the inputs and outputs of one shape lie, and the options that replay its run."""

    binding: Any
    inputs: dict[str, Any]
    outputs: list[Any]
    options: ort.RunOptions


class BoundEngine:
    """A session that is run in few shapes, each with inputs and outputs at fixed places.

    Args:
        session: whose inputs are int64 (rows, tokens), and outputs FP32 (rows, width).
        output_names: which of its outputs are answered, in that order.
        lengths: what texts are padded to, ascending; those past the engine's own are left out.
        most_tokens: a run has no more, padding among them; one row may.
        device: where the session runs, by ONNX Runtime's name.
        graphs: whether each shape is recorded and replayed; by default as the session was made.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        output_names: Sequence[str],
        lengths: Sequence[int],
        most_tokens: int,
        device: str = "cuda",
        graphs: bool | None = None,
    ) -> None:
        self.session, self.device = session, device
        self.graphs = is_recorded(session) if graphs is None else graphs
        self.most_tokens = most_tokens
        self.lengths = lengths_within(lengths, max_tokens_of(session))
        self.input_names = [tensor.name for tensor in session.get_inputs()]
        widths = {tensor.name: tensor.shape[-1] for tensor in session.get_outputs()}
        self.outputs = [(name, widths[name]) for name in output_names]
        self.buffers: dict[tuple[int, int], Buffers] = {}

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """The outputs for one batch, FP32 (rows, width) each.

        Args:
            inputs: int64 (rows, tokens) by name; padding stands at the end of each row.

        Raises:
            ValueError: padding stands elsewhere, or a text is too long.
        """
        mask = inputs[MASK_NAME]
        if np.any(mask[:, 1:] > mask[:, :-1]):
            raise ValueError(
                f"{MASK_NAME} has a 1 behind a 0; on a GPU padding has to stand at the end"
            )
        length = self.length_of(mask.shape[1])
        most = self.row_counts(length)[-1]
        parts = [
            self._run({name: array[start : start + most] for name, array in inputs.items()}, length)
            for start in range(0, len(mask), most)
        ]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def warm_up(self) -> None:
        """Run every shape once, the largest first, so that none is recorded while requests wait.

        Raises:
            NotOnGpu: one cannot be run, as where memory is too little for all.
        """
        for length in reversed(self.lengths):
            for rows in reversed(self.row_counts(length)):
                try:
                    self._try(rows, length)
                except Exception as error:
                    raise _cannot_run(error) from error

    def runs_at_all(self) -> bool:
        """Whether the smallest shape can be run.

        After some faults of a GPU nothing can, for as long as the process lives (CUDA calls such
        errors sticky).
        """
        try:
            self._try(1, self.lengths[0])
        except Exception:  # whatever it is, it has been told of the run before this one
            return False
        return True

    def length_of(self, tokens: int) -> int:
        """What a text of so many tokens is padded to. Raises ValueError if it is too long."""
        if tokens > self.lengths[-1]:
            raise ValueError(f"a text has {tokens} tokens, and the engine takes {self.lengths[-1]}")
        return self.lengths[bisect_left(self.lengths, tokens)]

    def row_counts(self, length: int) -> list[int]:
        """How many rows of that length a run may have, ascending: powers of two, and the most."""
        most = max(1, self.most_tokens // length)
        return [2**power for power in range(most.bit_length()) if 2**power < most] + [most]

    def _try(self, rows: int, length: int) -> None:
        self.run(dict.fromkeys(self.input_names, np.ones((rows, length), np.int64)))

    def _run(self, inputs: Mapping[str, Array], length: int) -> list[Array]:
        rows, tokens = inputs[MASK_NAME].shape
        counts = self.row_counts(length)
        count = counts[bisect_left(counts, rows)]
        buffers = self._buffers(count, length)
        for name, place in buffers.inputs.items():
            filled = np.zeros((count, length), dtype=np.int64)
            filled[:rows, :tokens] = inputs[name]
            # Of a row without any token there is no mean.
            filled[rows:, :tokens] = inputs[name][-1]
            place.update_inplace(filled)
        buffers.binding.synchronize_inputs()
        self.session.run_with_iobinding(buffers.binding, buffers.options)
        buffers.binding.synchronize_outputs()
        return [np.array(place.numpy()[:rows]) for place in buffers.outputs]

    def _buffers(self, rows: int, length: int) -> Buffers:
        """Those of a shape, made at its first run."""
        if (rows, length) not in self.buffers:
            self.buffers[rows, length] = self._made(rows, length, number=len(self.buffers) + 1)
        return self.buffers[rows, length]

    def _made(self, rows: int, length: int, number: int) -> Buffers:
        def place(shape: list[int], kind: type[np.generic]) -> Any:
            return ort.OrtValue.ortvalue_from_shape_and_type(shape, kind, self.device, 0)

        binding = self.session.io_binding()
        inputs = {name: place([rows, length], np.int64) for name in self.input_names}
        outputs = [place([rows, width], np.float32) for _, width in self.outputs]
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for (name, _), value in zip(self.outputs, outputs, strict=True):
            binding.bind_ortvalue_output(name, value)
        options = ort.RunOptions()
        if self.graphs:
            # A recorded run belongs to one shape: each has a number of its own, from 1 on.
            options.add_run_config_entry("gpu_graph_id", str(number))
        return Buffers(binding, inputs, outputs, options)


def max_tokens_of(session: ort.InferenceSession) -> int | None:
    """The longest text that an engine takes, where its file says so."""
    told = session.get_modelmeta().custom_metadata_map.get(MAX_TOKENS)
    return int(told) if told else None


def lengths_within(lengths: Sequence[int], most: int | None) -> list[int]:
    """The lengths up to `most`, and `most` itself."""
    if most is None:
        return list(lengths)
    return [length for length in lengths if length < most] + [most]
