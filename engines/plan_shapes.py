"""The shapes that a TensorRT plan is made for: profiles, CUDA graphs, and the memory they take.

Nothing here needs TensorRT or a GPU.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import onnx
from onnx import TensorProto, helper, shape_inference

from core.buckets import BUCKET_LENGTHS
from core.gpu import Gpu
from engines.errors import PlanError
from engines.tensor_names import INPUT_NAMES

# An interactive request has at most so many tokens in all, whatever its texts.
INTERACTIVE_TOKENS = 512
GRAPH_BATCHES = (1, 2, 4, 8)
MEBIBYTE = 2**20
# What CUDA and TensorRT's own libraries take of a GPU before anything is run.
CONTEXT_BYTES = 600 * MEBIBYTE
# Scratch of the kernels that are tried.
WORKSPACE_BYTES = 1024 * MEBIBYTE

Shape = tuple[int, int]


@dataclass(frozen=True)
class Profile:
    """One optimization profile: batches of 1 to `most_texts` texts, padded to `tokens`.

    Shorter ones, down to `least_tokens`, run too; what is tuned for is `best_texts` texts of
    `tokens`.
    """

    least_tokens: int
    tokens: int
    best_texts: int
    most_texts: int

    @property
    def shapes(self) -> tuple[Shape, Shape, Shape]:
        """Least, best and largest shape (batch, tokens) of every input."""
        return (
            (1, self.least_tokens),
            (self.best_texts, self.tokens),
            (self.most_texts, self.tokens),
        )


def profiles(max_tokens: int, max_batch: int) -> list[Profile]:
    """A profile for each of the padded lengths up to `max_tokens`.

    Together they take every length from 1 on, so that another client's padding does no harm.

    Raises:
        PlanError: the model ends between two of the lengths that texts are padded to.
    """
    if max_tokens not in BUCKET_LENGTHS:
        raise PlanError(
            f"the model takes {max_tokens} tokens, and a plan runs texts padded to "
            f"{', '.join(map(str, BUCKET_LENGTHS))}: the longest would be padded past its "
            "positions. Serve it with ONNX Runtime, which runs no padding here"
        )
    lengths = [length for length in BUCKET_LENGTHS if length <= max_tokens]
    return [
        Profile(before + 1, length, _texts(length, max_batch), max_batch)
        for before, length in zip([0, *lengths], lengths, strict=False)
    ]


def profile_of(found: Sequence[Profile], tokens: int) -> int:
    """The place of the profile that takes texts of so many tokens.

    Raises:
        PlanError: none does.
    """
    for place, profile in enumerate(found):
        if profile.least_tokens <= tokens <= profile.tokens:
            return place
    raise PlanError(f"{tokens} tokens are in none of the profiles, which end at {found[-1].tokens}")


def graph_shapes(found: Sequence[Profile]) -> list[Shape]:
    """The shapes (batch, tokens) that get a CUDA graph: those of interactive requests.

    Exact ones: within bounds Triton would leave old tokens in the rest of a larger graph.
    """
    return [
        (batch, profile.tokens)
        for profile in found
        for batch in GRAPH_BATCHES
        if batch == 1 or batch * profile.tokens <= INTERACTIVE_TOKENS
        if batch <= profile.most_texts
    ]


def _texts(tokens: int, max_batch: int) -> int:
    return min(max(1, INTERACTIVE_TOKENS // tokens), max_batch)


@dataclass(frozen=True)
class Memory:
    """What building and running a plan takes of a GPU's memory, estimated from shapes, in bytes.

    `weights` are counted twice while a plan is built: read, and in the layout of its kernels.
    """

    weights: int
    activations: int

    @property
    def build_bytes(self) -> int:
        """While it is built."""
        return CONTEXT_BYTES + WORKSPACE_BYTES + 2 * self.weights + self.activations


def memory_of(model: onnx.ModelProto, found: Sequence[Profile]) -> Memory:
    """The memory of a plan of that graph, whose largest profile decides."""
    weights = sum(
        prod(tensor.dims) * _item_bytes(tensor.data_type) for tensor in model.graph.initializer
    )
    largest = max((profile.shapes[2] for profile in found), key=prod)
    return Memory(weights, peak_bytes(model, *largest))


def peak_bytes(model: onnx.ModelProto, batch: int, tokens: int) -> int:
    """The most bytes of values that are needed at one time, running the nodes in their order.

    Values whose shape cannot be known beforehand count nothing.
    """
    sizes = _value_bytes(model, batch, tokens)
    left = Counter(name for node in model.graph.node for name in node.input)
    alive = peak = 0
    for node in model.graph.node:
        alive += sum(sizes.get(name, 0) for name in node.output)
        peak = max(peak, alive)
        for name in node.input:
            left[name] -= 1
            if left[name] == 0:
                alive -= sizes.get(name, 0)
    return peak


def _value_bytes(model: onnx.ModelProto, batch: int, tokens: int) -> dict[str, int]:
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.input[:]
    fixed.graph.input.extend(
        helper.make_tensor_value_info(name, TensorProto.INT64, [batch, tokens])
        for name in INPUT_NAMES
    )
    inferred = shape_inference.infer_shapes(fixed, data_prop=True)
    return dict(_sizes(inferred.graph))


def _sizes(graph: onnx.GraphProto) -> Iterator[tuple[str, int]]:
    for value in graph.value_info:
        kind = value.type.tensor_type
        dims = [dim.dim_value for dim in kind.shape.dim]
        if kind.HasField("shape") and all(dims):
            yield value.name, prod(dims) * _item_bytes(kind.elem_type)


def _item_bytes(data_type: int) -> int:
    return int(helper.tensor_dtype_to_np_dtype(data_type).itemsize)


def require_memory(gpu: Gpu, needed: Memory) -> None:
    """Raise PlanError unless a GPU has the memory free that building a plan takes.

    Where the driver does not say how much there is, nothing is asked.
    """
    free = gpu.free_bytes
    if free is None or needed.build_bytes <= free:
        return
    total = gpu.memory_bytes or free
    raise PlanError(
        f"{gpu.name} has {free // MEBIBYTE} MiB free of {total // MEBIBYTE}, and building the plan "
        f"takes about {needed.build_bytes // MEBIBYTE}: {2 * needed.weights // MEBIBYTE} for the "
        f"weights, {needed.activations // MEBIBYTE} for values between layers in the largest "
        f"profile, {(CONTEXT_BYTES + WORKSPACE_BYTES) // MEBIBYTE} for CUDA and the kernels' "
        "scratch. End what else runs on the GPU (nvidia-smi lists it), or build on a larger one"
    )
