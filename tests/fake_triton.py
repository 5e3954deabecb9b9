"""A Triton without models: a real gRPC server that speaks the inference protocol.

It stands at the wire, so that what is tested is the whole client and not a copy of its calls.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

Answer = Callable[[np.ndarray, np.ndarray], np.ndarray]


def sums(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
    """Two columns that can be worked out by hand: sum of the unmasked ids, and their number."""
    columns = [(input_ids * attention_mask).sum(axis=1), attention_mask.sum(axis=1)]
    return np.stack(columns, axis=1).astype(np.float32)


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Answers for `models` with a function of ids and mask, or with whatever a test sets.

    Attributes:
        requests: every inference request received.
        metadata: what came along with each, as gRPC metadata.
        cancelled: how many of them the client gave up.
        failure: status and message to fail every inference with.
        delay_seconds: time taken by an inference, failed or not.
        live: what it says when asked whether it lives.
        override: changes a finished response into a malformed one.
        versions: answers of single versions, by model and version, where they differ.
        loaded: versions that a load has named, by model; without one, any version is there.
        loads: every load, as model and versions.
        load_failure: the reason that loads fail with, by the version that cannot be loaded.
        version_failures: versions that fail every inference.
        version_delays: more time taken by an inference, by version.
    """

    def __init__(self, models: dict[str, Answer] | None = None) -> None:
        self.models = {"tiny": sums} if models is None else models
        self.requests: list[Any] = []
        self.metadata: list[dict[str, str]] = []
        self.cancelled = 0
        self.failure: tuple[grpc.StatusCode, str] | None = None
        self.delay_seconds = 0.0
        self.live = True
        self.override: Callable[[Any], None] | None = None
        self.target = ""
        self.versions: dict[tuple[str, str], Answer] = {}
        self.loaded: dict[str, set[str]] = {}
        self.loads: list[tuple[str, set[str]]] = []
        self.load_failure: dict[str, str] = {}
        self.version_failures: set[str] = set()
        self.version_delays: dict[str, float] = {}

    async def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ServerLiveResponse(live=self.live)

    async def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ServerReadyResponse(ready=True)

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=request.name in self.models)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._check_model(request.name, context)
        tensor = service_pb2.ModelMetadataResponse.TensorMetadata
        return service_pb2.ModelMetadataResponse(
            name=request.name,
            versions=["1"],
            outputs=[tensor(name="logits", datatype="FP32", shape=[-1, 2])],
        )

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:  # noqa: N802
        config = json.loads(request.parameters["config"].string_param)
        versions = set(config["version_policy"]["specific"]["versions"])
        self.loads.append((request.model_name, versions))
        for version, reason in self.load_failure.items():
            if version in versions:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, reason)
        self.loaded[request.model_name] = versions
        return service_pb2.RepositoryModelLoadResponse()

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata() or ()))
        await self._check_model(request.model_name, context)
        version = request.model_version
        if version and version not in self.loaded.get(request.model_name, {version}):
            message = f"'{request.model_name}' version {version} is not at ready state"
            await context.abort(grpc.StatusCode.UNAVAILABLE, message)
        if version in self.version_failures:
            await context.abort(grpc.StatusCode.INTERNAL, "the engine broke")
        try:
            await asyncio.sleep(self.delay_seconds + self.version_delays.get(version, 0.0))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failure is not None:
            await context.abort(*self.failure)
        return self._answer(request)

    def _answer(self, request: Any) -> Any:
        arrays = {
            tensor.name: np.frombuffer(content, "<i8").reshape(tuple(tensor.shape))
            for tensor, content in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        key = request.model_name, request.model_version
        answer = self.versions.get(key) or self.models[request.model_name]
        values = answer(arrays["input_ids"], arrays["attention_mask"]).astype("<f4")
        response = service_pb2.ModelInferResponse(
            model_name=request.model_name, model_version=request.model_version, id=request.id
        )
        response.outputs.add(name="logits", datatype="FP32", shape=values.shape)
        response.raw_output_contents.append(values.tobytes())
        if self.override is not None:
            self.override(response)
        return response

    async def _check_model(self, name: str, context: Any) -> None:
        if name not in self.models:
            message = f"Request for unknown model: '{name}' is not found"
            await context.abort(grpc.StatusCode.NOT_FOUND, message)


@asynccontextmanager
async def running_fake_triton(
    models: dict[str, Answer] | None = None, port: int = 0, address: str = "127.0.0.1"
) -> AsyncIterator[FakeTriton]:
    """A fake Triton on loopback, by default on any free port; stopped at the end.

    `address` may be a Unix socket too, as `unix:PATH`.
    """
    fake = FakeTriton(models)
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(fake, server)
    if address.startswith("unix:"):
        server.add_insecure_port(address)
        fake.target = address
    else:
        bound_port = server.add_insecure_port(f"{address}:{port}")
        fake.target = f"{address}:{bound_port}"
    await server.start()
    try:
        yield fake
    finally:
        await server.stop(grace=None)
