"""Reads the trace that PyTorch's profiler exports: Chrome's trace format, in microseconds.

`cat` is `cpu_op` (an operator on the processor), `user_annotation` (a phase that the trainer
marks), `kernel`, `gpu_memcpy` or `gpu_memset` (what a GPU ran).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from engines.errors import EngineError
from engines.phases import DATA, PHASES
from engines.spans import COPY, KERNEL, Round, Span, within

_DEVICE = {"kernel": KERNEL, "gpu_memcpy": COPY, "gpu_memset": KERNEL}


def steps_of(events: Iterable[Mapping[str, Any]]) -> list[Round]:
    """The steps of a training among the events of a trace, in their order.

    What lies between phases counts to the step; after the last there is another mark, as its end.

    Raises:
        EngineError: there is no whole step in it.
    """
    phases: list[Span] = []
    operators: list[Span] = []
    device: list[Span] = []
    for event in events:
        category = event.get("cat")
        if event.get("ph") != "X":
            continue
        if category == "user_annotation" and event["name"] in PHASES:
            phases.append(_span(event, str(event["name"])))
        elif category == "cpu_op":
            operators.append(_span(event, str(event["name"])))
        elif category in _DEVICE:
            device.append(_span(event, _DEVICE[str(category)]))
    steps = steps_between(phases, operators, device)
    if not steps:
        raise EngineError("PyTorch's trace has no whole step of training; ask for more --runs")
    return steps


def steps_between(
    phases: Sequence[Span], operators: Sequence[Span] = (), device: Sequence[Span] = ()
) -> list[Round]:
    """Steps from the beginning of one's data to that of the next's, and what lies in each."""
    begins = sorted(phase.start_us for phase in phases if phase.name == DATA)
    return [
        Round(
            start_us,
            end_us - start_us,
            within(operators, start_us, end_us),
            within(phases, start_us, end_us),
            within(device, start_us, end_us),
        )
        for start_us, end_us in pairwise(begins)
    ]


def _span(event: Mapping[str, Any], kind: str) -> Span:
    name, thread = str(event["name"]), int(event["tid"])
    return Span(name, kind, float(event["ts"]), float(event["dur"]), thread)
