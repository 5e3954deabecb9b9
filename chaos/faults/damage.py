"""A damaged engine, found when Triton has to be started anew."""

from __future__ import annotations

import os
import signal

from chaos.fault import Fault
from chaos.stack import Stack

MODEL = "sentiment"
KEPT = "model.onnx.kept"


class DamagedEngine(Fault):
    """The engine that is asked most is cut in half on disk, and its process dies.

    The other models have to come back without it, and it once its file is put back.
    """

    name = "damaged-engine"
    held_seconds = 8.0

    def strike(self, stack: Stack) -> None:
        """Damage the file, and have Triton started anew."""
        engine = stack.repository / MODEL / "1" / "model.onnx"
        content = engine.read_bytes()
        engine.with_name(KEPT).write_bytes(content)
        engine.write_bytes(content[: len(content) // 2])
        os.kill(stack.stub_pids[MODEL], signal.SIGKILL)

    def mend(self, stack: Stack) -> None:
        """Put the file back; nothing is started anew by hand."""
        folder = stack.repository / MODEL / "1"
        (folder / KEPT).replace(folder / "model.onnx")


FAULTS = (DamagedEngine(),)
