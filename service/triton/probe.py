"""Asking a Triton that was just started whether it really answers."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

CHANNEL_OPTIONS = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
]
CALL_SECONDS = 2.0
FIRST_INFERENCE_SECONDS = 30.0
# Stands for a dimension that may have any size, such as the number of tokens.
ANY_SIZE = 16


class Probe:
    """A blocking connection to one Triton, used while it starts."""

    def __init__(self, target: str) -> None:
        self.channel = grpc.insecure_channel(target, options=CHANNEL_OPTIONS)
        self.stub = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def server_id(self) -> str | None:
        """The name the server answers under; None while nothing answers or it is not ready."""
        try:
            ready = self.stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=CALL_SECONDS)
            if not ready.ready:
                return None
            request = service_pb2.ServerMetadataRequest()
            return str(self.stub.ServerMetadata(request, timeout=CALL_SECONDS).name)
        except grpc.RpcError:
            return None

    def load(
        self, configs: dict[str, str], metadata: tuple[tuple[str, str], ...], timeout_seconds: float
    ) -> dict[str, str]:
        """Have models loaded at once, each with a configuration in JSON.

        `metadata` opens the call. Returns the reason for each model that could not be loaded.
        """
        calls = {}
        for model, config in configs.items():
            request = service_pb2.RepositoryModelLoadRequest(model_name=model)
            request.parameters["config"].string_param = config
            calls[model] = self.stub.RepositoryModelLoad.future(
                request, metadata=metadata, timeout=timeout_seconds
            )
        return {
            model: str(call.details())
            for model, call in calls.items()
            if call.exception() is not None
        }

    def first_answer(self, model: str) -> str | None:
        """Have the model answer one small request; the reason if it does not.

        Readiness alone does not show it: a model whose process has died still counts as ready.
        """
        try:
            metadata = self.stub.ModelMetadata(
                service_pb2.ModelMetadataRequest(name=model), timeout=CALL_SECONDS
            )
            self.stub.ModelInfer(smallest_request(metadata), timeout=FIRST_INFERENCE_SECONDS)
        except grpc.RpcError as error:
            return str(error.details())
        return None


def smallest_request(metadata: Any) -> Any:
    """A request of ones for a model of which only the metadata is known."""
    request = service_pb2.ModelInferRequest(model_name=metadata.name)
    for tensor in metadata.inputs:
        rows, *rest = tensor.shape
        shape = [max(rows, 1), *(size if size > 0 else ANY_SIZE for size in rest)]
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=shape)
        data_type = {"INT64": np.int64, "INT32": np.int32, "FP32": np.float32}[tensor.datatype]
        request.raw_input_contents.append(np.ones(shape, data_type).tobytes())
    return request
