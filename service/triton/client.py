"""Asks Triton over gRPC, on the shortest path: raw tensor bytes on one open channel.

Speaks the inference protocol that KServe and Triton share
(https://github.com/kserve/open-inference-protocol), with the messages tritonclient brings.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError
from grpc import StatusCode
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2, service_pb2_grpc

from service.errors import (
    BackendError,
    BackendUnavailable,
    DeadlineExceeded,
    RequestError,
)
from service.trace import EngineAsked, Metadata, Trace
from service.triton.failures import UNREACHABLE, error_for
from service.triton.streams import MAX_MESSAGE_BYTES, CallFailed
from service.triton.unary import UnaryCalls

HEALTH_SECONDS = 1.0
CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # Pings only while calls are under way: Triton cuts off clients that ping while idle. The
    # timeout also ends a connection on which bytes sent are not acknowledged.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # gRPC pings busy connections of its own accord too, to size its buffers, sends no other ping
    # before that one is answered, and would wait a minute for it: a Triton that hangs has to go.
    ("grpc.http2.ping_timeout_ms", 5_000),
    # A Triton that comes back is found within a second, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
]
# For targets that stand for several Tritons; others keep gRPC's default, the first that answers.
ROUND_ROBIN = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})
UNIX = "unix:"
MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
SEVERAL_ADDRESSES = ("dns:", "ipv4:", "ipv6:")
# Of several, one whose connection broke has no turn. But one that ends in order keeps answering
# that its models are gone, for seconds, and calls side by side can meet it more than once.
TRIES = 4

Int64Array = NDArray[np.int64]
Float32Array = NDArray[np.float32]


@dataclass(frozen=True)
class ModelMetadata:
    """What Triton says of a model. `outputs` are name, data type and shape (-1 is any size)."""

    name: str
    versions: tuple[str, ...]
    outputs: tuple[tuple[str, str, tuple[int, ...]], ...]


class ModelInfer:
    """The call that asks a model, over a Unix socket; it is called like gRPC's own."""

    def __init__(self, path: str) -> None:
        self.calls = UnaryCalls(path)

    async def __call__(
        self,
        request: Any,
        timeout: float,  # noqa: ASYNC109  (gRPC's name)
        metadata: Metadata | None,
    ) -> Any:
        """Raises CallFailed where there is no answer."""
        answer = await self.calls.call(
            MODEL_INFER, request.SerializeToString(), timeout, metadata or ()
        )
        try:
            return service_pb2.ModelInferResponse.FromString(answer)
        except DecodeError as error:
            raise CallFailed(StatusCode.INTERNAL, f"the answer is none: {error}") from error


class TritonClient:
    """One channel to Triton, or to several behind a name (`dns:///triton:8001`).

    Models behind a Unix socket are asked over a connection of our own, which takes half the time.

    Make it inside a running event loop and use it in that loop only.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self._is_several = target.startswith(SEVERAL_ADDRESSES)
        options = list(CHANNEL_OPTIONS)
        if self._is_several:
            options.append(("grpc.service_config", ROUND_ROBIN))
        self._channel = grpc.aio.insecure_channel(target, options=options)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._direct = ModelInfer(target.removeprefix(UNIX)) if target.startswith(UNIX) else None
        self._model_infer = self._direct or self._stub.ModelInfer

    async def infer(
        self,
        model: str,
        input_ids: Int64Array,
        attention_mask: Int64Array,
        *,
        timeout_ms: float,
        priority: int,
        request_id: str = "",
        version: str = "",
        traces: Sequence[Trace] = (),
    ) -> Float32Array:
        """Run a model on a batch of token ids and mask, both int64 [rows, tokens].

        Returns its first output, float32 [rows, anything]; the array is read-only. Segment ids
        (`token_type_ids`) are zeros. `timeout_ms` bounds the call; Triton is told it too, and
        `priority` (1 before 2), and heeds both where the model's queue policy allows. Cancelling
        the task cancels the request, which leaves Triton's queue. `version` "" is the newest that
        is loaded. `traces` are those of the requests in the batch.

        Raises:
            DeadlineExceeded: no answer within `timeout_ms`.
            QueueFull: Triton's queue is full or held the request too long.
            BackendUnavailable: Triton cannot be reached or the model is not ready.
            BackendError: Triton failed, or its answer is not what was asked for.
        """
        if timeout_ms <= 0:
            raise DeadlineExceeded("no time is left to ask the model")
        request = infer_request(model, input_ids, attention_mask, request_id, version)
        request.parameters["timeout"].int64_param = max(1, round(timeout_ms * 1000))
        request.parameters["priority"].uint64_param = priority
        if traces:
            asked = EngineAsked(self.target, model, version, len(input_ids), input_ids.size)
            with traces[0].calling(traces[1:], asked) as metadata:
                response = await self._call(self._model_infer, request, timeout_ms / 1000, metadata)
        else:
            response = await self._call(self._model_infer, request, timeout_ms / 1000)
        return first_output(response, rows=len(input_ids))

    async def live(self) -> bool:
        """Whether a Triton answers at all."""
        return await self._is_true("ServerLive", service_pb2.ServerLiveRequest(), "live")

    async def require_live(self) -> None:
        """Ask whether a Triton answers at all. Raises like `infer`, by what gRPC says, if not."""
        await self._call(self._stub.ServerLive, service_pb2.ServerLiveRequest(), HEALTH_SECONDS)

    async def has(self, model: str, version: str) -> bool:
        """Whether Triton says that this version of the model is loaded. Raises like `infer`."""
        request = service_pb2.ModelReadyRequest(name=model, version=version)
        try:
            answer = await self._call(self._stub.ModelReady, request, HEALTH_SECONDS)
        except BackendUnavailable as error:
            cause = error.__cause__
            if isinstance(cause, grpc.aio.AioRpcError) and cause.code() is StatusCode.NOT_FOUND:
                return False
            raise
        return bool(answer.ready)

    async def ready(self, model: str) -> bool:
        """Whether Triton says that the model is loaded."""
        request = service_pb2.ModelReadyRequest(name=model)
        return await self._is_true("ModelReady", request, "ready")

    async def models_ready(self, models: Iterable[str]) -> dict[str, bool]:
        """`ready` for each of the models, asked at once."""
        names = list(models)
        return dict(zip(names, await asyncio.gather(*map(self.ready, names)), strict=True))

    async def metadata(self, model: str) -> ModelMetadata:
        """Versions and outputs of a model. Raises like `infer`."""
        request = service_pb2.ModelMetadataRequest(name=model)
        answer = await self._call(self._stub.ModelMetadata, request, HEALTH_SECONDS)
        outputs = ((item.name, item.datatype, tuple(item.shape)) for item in answer.outputs)
        return ModelMetadata(answer.name, tuple(answer.versions), tuple(outputs))

    async def close(self) -> None:
        """Close the channel; calls under way fail with BackendUnavailable."""
        if self._direct is not None:
            await self._direct.calls.close()
        await self._channel.close()

    async def _is_true(self, method: str, request: Any, field: str) -> bool:
        try:
            answer = await self._call(getattr(self._stub, method), request, HEALTH_SECONDS)
        except RequestError:
            return False
        return bool(getattr(answer, field))

    async def _call(
        self, method: Any, request: Any, timeout_seconds: float, metadata: Metadata | None = None
    ) -> Any:
        """Call a method, and again in the time that is left where one of several was not there.

        That is safe: asking changes nothing at Triton. gRPC's own retries would come again for a
        full queue too, which has the same status and is no reason to ask for more.
        """
        deadline = time.monotonic() + timeout_seconds
        left_seconds = timeout_seconds
        for _ in range(TRIES - 1 if self._is_several else 0):
            try:
                return await self._call_once(method, request, left_seconds, metadata)
            except BackendUnavailable:
                left_seconds = deadline - time.monotonic()
                if left_seconds <= 0:
                    raise
        return await self._call_once(method, request, left_seconds, metadata)

    async def _call_once(
        self, method: Any, request: Any, timeout_seconds: float, metadata: Metadata | None
    ) -> Any:
        try:
            return await method(request, timeout=timeout_seconds, metadata=metadata)
        except (grpc.aio.AioRpcError, CallFailed) as error:
            raise error_for(error.code(), error.details() or "") from error
        except grpc.aio.UsageError as error:  # the channel is closed
            raise BackendUnavailable(UNREACHABLE) from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Not the task was cancelled but the call, by the closing of the channel.
            raise BackendUnavailable(UNREACHABLE) from None


def infer_request(
    model: str,
    input_ids: Int64Array,
    attention_mask: Int64Array,
    request_id: str,
    version: str = "",
) -> Any:
    """The gRPC message that asks for one batch, its tensors as little-endian bytes."""
    shape = input_ids.shape
    tensor = service_pb2.ModelInferRequest.InferInputTensor
    ids = np.ascontiguousarray(input_ids, "<i8").tobytes()
    return service_pb2.ModelInferRequest(
        model_name=model,
        model_version=version,
        id=request_id,
        inputs=[
            tensor(name="input_ids", datatype="INT64", shape=shape),
            tensor(name="attention_mask", datatype="INT64", shape=shape),
            tensor(name="token_type_ids", datatype="INT64", shape=shape),
        ],
        raw_input_contents=[
            ids,
            np.ascontiguousarray(attention_mask, "<i8").tobytes(),
            bytes(len(ids)),
        ],
    )


def first_output(response: Any, rows: int) -> Float32Array:
    """The first output of an answer, float32 [rows, anything], without a copy.

    Raises BackendError if it has another data type, shape or size.
    """
    if not response.outputs or not response.raw_output_contents:
        raise BackendError("Triton answered without an output; the model declares none that fits")
    output, content = response.outputs[0], response.raw_output_contents[0]
    shape = tuple(output.shape)
    if output.datatype != "FP32" or len(shape) != 2 or shape[0] != rows:
        raise BackendError(
            f"the model's output {output.name} is {output.datatype} {list(shape)}, not FP32 "
            f"[{rows}, any]: rebuild it with `sub50 engines build`"
        )
    if len(content) != 4 * shape[0] * shape[1]:
        raise BackendError(f"the model's output {output.name} has {len(content)} bytes of {shape}")
    return np.frombuffer(content, "<f4").reshape(shape)
