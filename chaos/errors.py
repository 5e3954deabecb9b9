"""What keeps a trial from taking place."""

from __future__ import annotations


class ChaosError(Exception):
    """No trial took place. The message is for people."""


class NotHere(ChaosError):
    """This machine lacks what a fault needs, root or a compiler; other faults can be tried."""
