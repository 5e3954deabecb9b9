"""Has the embedded Triton load and unload versions of models that it serves.

A load names every version that is to be there: those that are loaded already go on as they are,
new ones are loaded beside them, and the others are let go once their last request is answered. If
one cannot be loaded, all stays as it was
(https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_management.md).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from service.disk import on_disk
from service.errors import PromotionError
from service.triton.backends import sub50_aside
from service.triton.client import CHANNEL_OPTIONS
from service.triton.reasons import plain_reason
from service.triton.repository import refused_versions, with_versions
from service.triton.server import EmbeddedTriton

LOAD_SECONDS = 120.0


class VersionLoader:
    """One channel to the embedded Triton, with leave to load models.

    `configs` are those that the models were loaded with, as JSON: a config.pbtxt that was changed
    since counts from the next start on, as it always did. `scratch` is Triton's temporary folder
    and `repository` the folder of its models, where those are known.

    Make it inside a running event loop and use it in that loop only.
    """

    def __init__(
        self,
        target: str,
        metadata: tuple[tuple[str, str], ...],
        configs: Mapping[str, str],
        scratch: Path | None = None,
        repository: Path | None = None,
    ) -> None:
        self._metadata = metadata
        self._repository = repository
        # Those that were looked at when they were loaded.
        self._kept: dict[str, set[str]] = {}
        self._marker = scratch / sub50_aside.MARKER if scratch is not None else None
        self._configs = configs
        self._channel = grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    @classmethod
    def of(cls, triton: EmbeddedTriton) -> VersionLoader:
        """The loader of an embedded Triton that is started."""
        return cls(
            triton.grpc_target,
            triton.control_metadata,
            triton.configured.configs,
            triton.scratch,
            triton.repository,
        )

    async def keep(self, model: str, versions: Collection[str]) -> None:
        """Have exactly these versions of a model loaded, and return when they are.

        Raises:
            PromotionError: one cannot be loaded, with Triton's reason; then those that were
                loaded before still are.
        """
        config = with_versions(self._configs[model], list(versions))
        new = sorted(set(versions) - self._kept.get(model, set()), key=int)
        await on_disk(self._check, model, new)
        request = service_pb2.RepositoryModelLoadRequest(model_name=model)
        request.parameters["config"].string_param = config
        try:
            async with self._aside():
                await self._stub.RepositoryModelLoad(
                    request, metadata=self._metadata, timeout=LOAD_SECONDS
                )
        except grpc.aio.AioRpcError as error:
            reason = plain_reason(error.details() or error.code().name)
            told = " and ".join(sorted(versions, key=int))
            raise PromotionError(
                f"Triton cannot load version {told} of {model} side by side: {reason}"
            ) from error
        self._kept[model] = set(versions)

    def _check(self, model: str, versions: Sequence[str]) -> None:
        """Raise PromotionError unless what lies in these version folders may be loaded."""
        if self._repository is None or not versions:
            return
        config = with_versions(self._configs[model], list(versions))
        if refused := refused_versions(self._repository, {model: config}):
            raise PromotionError(refused[model])

    @asynccontextmanager
    async def _aside(self) -> AsyncIterator[None]:
        """Processes that start meanwhile keep to one core until they are ready."""
        if self._marker is None:
            yield
            return
        await on_disk(self._marker.touch)
        try:
            yield
        finally:
            await on_disk(self._marker.unlink, missing_ok=True)

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()
