"""What Triton says of its failures, told to people: its log's end, and why a model did not load."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

# How Triton's account of a full /dev/shm begins.
NO_SHARED_MEMORY = "Unable to initialize shared memory key"
NO_ROOM = (
    "there is no room in /dev/shm for its process; free some, or give the container more "
    "(`--shm-size` of Docker, a volume of medium Memory on Kubernetes)"
)
# In a reason that has a way out of its own, as that of a GPU that cannot be used.
WAY_BACK = "--reset"
LOG_TAIL_LINES = 12
LOG_TAIL_BYTES = 16_384
# Borders of tables, and what Triton says of every machine without a GPU.
LOG_NOISE = ("+--", "CudaDriverHelper")


def plain_reason(details: str) -> str:
    """Triton's account of a model's failure, without its own wording and stack trace."""
    reason = details.partition("\n\nAt:")[0]
    for opening in ("TritonModelException: ", "UNAVAILABLE state: "):
        reason = reason.rpartition(opening)[2]
    return NO_ROOM if NO_SHARED_MEMORY in reason else reason.strip(" ;\n")


def is_of_gpu(reason: str) -> bool:
    """Whether a model was not loaded because its GPU cannot be used."""
    return WAY_BACK in reason


def stands_in(model: str, reason: str) -> str:
    """What to tell who starts a service of a model that asks for a GPU and gets none."""
    return (
        f"model {model} is served by its engine for processors, because the one for a GPU cannot "
        f"be: {reason.removesuffix('.')}. It is tried again at the next start"
    )


def not_served(reasons: Mapping[str, str]) -> str:
    """What to tell who starts a service: why each model cannot be served, and what to do."""
    lines = [f"Model {name} cannot be served: {reason}" for name, reason in reasons.items()]
    built_badly = [
        name for name, reason in reasons.items() if reason != NO_ROOM and not is_of_gpu(reason)
    ]
    if built_badly:
        lines.append(f"Build it again with `sub50 engines build {min(built_badly)}`.")
    return "\n".join(lines)


def log_tail(path: Path) -> str:
    """The last telling lines of a log."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return "(nothing was written)"
    lines = [line.strip() for line in text.splitlines()]
    telling = [line for line in lines if line and not any(noise in line for noise in LOG_NOISE)]
    return "\n".join(telling[-LOG_TAIL_LINES:]) or "(nothing was written)"
