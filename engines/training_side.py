"""What needs the `train` extra says so where that is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from engines.errors import EngineError


@contextmanager
def needing(doing: str, packages: str, others: str = "Serving") -> Iterator[None]:
    """Import the training side within the block.

    Args:
        doing: what needs it.
        packages: which packages of it.
        others: what goes on without.

    Raises:
        EngineError: it is not installed; says how to install it.
    """
    try:
        yield
    except ImportError as error:
        raise EngineError(
            f"{doing} needs {packages} ({error}): `pip install 'sub50[train]'`, or `make "
            f"setup-train`. {others} does not"
        ) from error
