"""The phases of a training step. A trainer marks them; who looks on says what a mark does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

DATA, FORWARD, BACKWARD, OPTIMIZER = "data", "forward", "backward", "optimizer"
PHASES = (DATA, FORWARD, BACKWARD, OPTIMIZER)

Mark = Callable[[str], AbstractContextManager[Any]]


def unmarked(phase: str) -> AbstractContextManager[Any]:
    """The mark that does nothing, where nobody looks on."""
    return nullcontext(phase)
