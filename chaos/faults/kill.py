"""kill -9, of each process that the service is made of."""

from __future__ import annotations

import os
import signal

from chaos.fault import Fault
from chaos.stack import Stack


class KillTriton(Fault):
    """Triton itself."""

    name = "kill-triton"

    def strike(self, stack: Stack) -> None:
        """Kill it."""
        os.kill(stack.triton_pid, signal.SIGKILL)


class KillStub(Fault):
    """The process that runs the engine which is asked most."""

    name = "kill-stub"

    def strike(self, stack: Stack) -> None:
        """Kill it."""
        os.kill(stack.stub_pids["sentiment"], signal.SIGKILL)


class KillSupervisor(Fault):
    """The small process that keeps Triton."""

    name = "kill-supervisor"

    def strike(self, stack: Stack) -> None:
        """Kill it."""
        os.kill(stack.supervisor_pid, signal.SIGKILL)


class KillApi(Fault):
    """The process that answers HTTP. Nobody starts it anew here: that is systemd's or Kubernetes'.

    What has to hold is that nothing of it stays.
    """

    name = "kill-api"

    def strike(self, stack: Stack) -> None:
        """Kill it."""
        os.kill(stack.pid, signal.SIGKILL)


FAULTS = (KillTriton(), KillStub(), KillSupervisor(), KillApi())
