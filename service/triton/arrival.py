"""Waits at start for a Triton that runs elsewhere, and says what it is waited for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from service.errors import RequestError, ServeError
from service.triton.client import TritonClient

log = logging.getLogger("sub50.triton")

ASK_SECONDS = 0.5
# Triton may start beside us: who is there by then has nothing to be told of.
TELL_AFTER_SECONDS = 3.0


async def arrival(
    client: TritonClient, models: Sequence[tuple[str, str]], limit_seconds: float
) -> None:
    """Return when Triton has every model, as (name, version).

    The service answers 503 meanwhile, and finds Triton by itself; what is missing is logged once.

    Raises:
        ServeError: it had not within `limit_seconds`; says what is missing, and which setting.
    """
    begun = time.monotonic()
    told = ""
    while missing := await _missing(client, models):
        waited = time.monotonic() - begun
        if waited > limit_seconds:
            raise ServeError(
                f"{missing}. Waited {limit_seconds:g} s; set SUB50_TRITON_START_SECONDS higher "
                "where it takes longer, or to inf to wait for ever"
            )
        if waited > TELL_AFTER_SECONDS and missing != told:
            log.warning("%s; waiting for it, requests are answered with 503", missing)
            told = missing
        await asyncio.sleep(ASK_SECONDS)
    if told:
        log.info("Triton at %s answers, with all models", client.target)


async def _missing(client: TritonClient, models: Sequence[tuple[str, str]]) -> str:
    """What is not there, as a sentence with what to check; "" if nothing is missing."""
    try:
        await client.require_live()
        ready = await asyncio.gather(*(client.has(name, version) for name, version in models))
    except RequestError as error:
        details = getattr(error.__cause__, "details", lambda: None)() or str(error)
        return (
            f"Triton at {client.target} does not answer ({' '.join(details.split())}); start it, "
            "or correct --triton or SUB50_TRITON"
        )
    absent = [
        f"{name} (version {version})"
        for (name, version), is_ready in zip(models, ready, strict=True)
        if not is_ready
    ]
    if not absent:
        return ""
    return (
        f"Triton at {client.target} does not serve {', '.join(absent)}; its model repository has "
        "to hold what SUB50_REPOSITORY holds here"
    )
