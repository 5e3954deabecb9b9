"""SIGSTOP: a process that is there and does nothing, as one that hangs."""

from __future__ import annotations

from signal import SIGSTOP

from chaos.signalled import Signalled, asked_most, triton

FAULTS = (
    Signalled("freeze-triton", "Triton itself.", SIGSTOP, triton),
    Signalled(
        "freeze-stub", "The process that runs the engine which is asked most.", SIGSTOP, asked_most
    ),
)
