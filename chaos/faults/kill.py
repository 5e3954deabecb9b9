"""kill -9, of each process that the service is made of."""

from __future__ import annotations

from signal import SIGKILL

from chaos.signalled import Signalled, asked_most, triton

FAULTS = (
    Signalled("kill-triton", "Triton itself.", SIGKILL, triton),
    Signalled(
        "kill-stub", "The process that runs the engine which is asked most.", SIGKILL, asked_most
    ),
    Signalled(
        "kill-supervisor",
        "The small process that keeps Triton.",
        SIGKILL,
        lambda stack: stack.supervisor_pid,
    ),
    # What has to hold is that nothing of it stays.
    Signalled(
        "kill-api",
        "The process that answers HTTP. Nobody starts it anew here: that is systemd's or "
        "Kubernetes'.",
        SIGKILL,
        lambda stack: stack.pid,
    ),
)
