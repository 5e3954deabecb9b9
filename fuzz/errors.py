"""What keeps the fuzzing from being run at all; what it finds are outcomes, no errors."""

from __future__ import annotations


class FuzzError(Exception):
    """It cannot be run. The message says what to do."""
