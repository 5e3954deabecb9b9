"""A stand-in for the module that Triton gives its Python-based backends, and its requests."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from tests.fake_triton import sums

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Tensor:
    def __init__(self, name: str, array: np.ndarray) -> None:
        self.name, self.array = name, array

    def as_numpy(self) -> np.ndarray:
        return self.array


class Response:
    def __init__(self, output_tensors: list[Tensor], error: Any = None) -> None:
        self.output_tensors, self.error = output_tensors, error

    def logits(self) -> np.ndarray:
        assert self.error is None, self.error
        return self.output_tensors[0].as_numpy()


class Request:
    """A request; what is sent early, before the batch is through, lands in `sent`."""

    def __init__(
        self,
        ids: np.ndarray,
        names: tuple[str, ...] = INPUTS,
        mask: np.ndarray | None = None,
    ) -> None:
        self.ids = ids
        self.mask = np.ones_like(ids) if mask is None else mask
        arrays = {"input_ids": ids, "attention_mask": self.mask}
        self.tensors = {n: Tensor(n, arrays.get(n, np.zeros_like(ids))) for n in names}
        self.sent: list[Response] = []

    def get_response_sender(self) -> Request:
        return self

    def send(self, response: Response, flags: int) -> None:
        assert flags == 1
        self.sent.append(response)


def utils_module() -> ModuleType:
    """What `import triton_python_backend_utils` gives inside Triton, as far as it is used."""
    utils = ModuleType("triton_python_backend_utils")
    names: dict[str, Any] = {
        "Tensor": Tensor,
        "InferenceResponse": Response,
        "TritonError": str,
        "TritonModelException": type("TritonModelException", (Exception,), {}),
        "TRITONSERVER_RESPONSE_COMPLETE_FINAL": 1,
        "get_input_tensor_by_name": lambda request, name: request.tensors.get(name),
    }
    for name, value in names.items():
        setattr(utils, name, value)
    return utils


def answers_of(requests: list[Request], returned: list[Response | None]) -> list[Response]:
    """The one response of each request, sent or returned."""
    answers = []
    for request, response in zip(requests, returned, strict=True):
        found = [*request.sent, *([] if response is None else [response])]
        assert len(found) == 1, "every request gets exactly one response"
        answers += found
    return answers


def assert_own_answers(requests: list[Request], answers: list[Response]) -> None:
    """Each request has its own sums, which the tiny model answers."""
    for request, answer in zip(requests, answers, strict=True):
        np.testing.assert_array_equal(answer.logits(), sums(request.ids, request.mask))


def count_runs(model: Any) -> list[tuple[int, int]]:
    """Shapes of the engine's runs, in order, filled as they happen."""
    shapes: list[tuple[int, int]] = []
    run = model.batcher.engine

    def counting(inputs: list[np.ndarray]) -> Any:
        shapes.append(inputs[0].shape)
        return run(inputs)

    model.batcher.engine = counting
    return shapes


def ids_of(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 1000, shape)


def padded(lengths: list[int], width: int) -> Request:
    """A request of texts of these lengths; padding holds ids that would show in a sum."""
    mask = (np.arange(width) < np.array(lengths)[:, None]).astype(np.int64)
    return Request(ids_of(len(lengths), width), mask=mask)
