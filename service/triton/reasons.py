"""What Triton says of its failures, told to people: its log's end, and why a model did not load."""

from __future__ import annotations

from pathlib import Path

LOG_TAIL_LINES = 12
LOG_TAIL_BYTES = 16_384
# Borders of tables, and what Triton says of every machine without a GPU.
LOG_NOISE = ("+--", "CudaDriverHelper")


def plain_reason(details: str) -> str:
    """Triton's account of a model's failure, without its own wording and stack trace."""
    reason = details.partition("\n\nAt:")[0]
    for opening in ("TritonModelException: ", "UNAVAILABLE state: "):
        reason = reason.rpartition(opening)[2]
    return reason.strip(" ;\n")


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
