"""What keeps a trial from taking place."""

from __future__ import annotations


class ChaosError(Exception):
    """No trial took place. The message is for people."""
