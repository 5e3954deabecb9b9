"""Reads the profile that ONNX Runtime writes: a JSON list of events, in whole microseconds.

`cat` is `Session` (of which `model_run` is a call), `Node` (an operator on the processor, or its
launch on a GPU) or `Kernel` (what a GPU ran, copies among it; its `op_name` is that of the node
which launched it, where ONNX Runtime knows).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from engines.errors import EngineError
from engines.spans import COPY, KERNEL, Round, Span, within

CALL = "model_run"
# Releases before 1.16 also told of what stood before and after.
NODE_ENDING = "_kernel_time"


def read_rounds(path: Path) -> list[Round]:
    """Every call in a profile, in their order.

    Raises:
        EngineError: it is not a profile of ONNX Runtime, or one cut off.
    """
    try:
        return rounds_of(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(
            f"ONNX Runtime's profile cannot be read ({type(error).__name__}: {error}); if the disk "
            "is full make room, else ask for fewer --runs"
        ) from error


def rounds_of(events: Iterable[Mapping[str, Any]]) -> list[Round]:
    """The calls among a profile's events, in their order."""
    calls: list[Span] = []
    nodes: list[Span] = []
    device: list[Span] = []
    for event in events:
        category, name = event["cat"], str(event["name"])
        if category == "Session" and name == CALL:
            calls.append(_span(event, name, CALL))
        elif category == "Node" and name.endswith(NODE_ENDING):
            kind = str(event["args"]["op_name"])
            nodes.append(_span(event, name.removesuffix(NODE_ENDING), kind))
        elif category == "Kernel":
            kind = COPY if name.lower().startswith("memcpy") else KERNEL
            device.append(
                replace(_span(event, name, kind), launched_by=event["args"].get("op_name", ""))
            )
    calls.sort(key=lambda call: call.start_us)
    # What a GPU was given during a call may end after it, but begins before the next.
    ends = [*(call.start_us for call in calls[1:]), float("inf")]
    return [
        Round(
            call.start_us,
            call.length_us,
            within(nodes, call.start_us, call.end_us),
            device=within(device, call.start_us, next_us),
        )
        for call, next_us in zip(calls, ends, strict=True)
    ]


def _span(event: Mapping[str, Any], name: str, kind: str) -> Span:
    return Span(name, kind, float(event["ts"]), float(event["dur"]), int(event["tid"]))
