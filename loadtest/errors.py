"""What can go wrong short of a verdict."""

from __future__ import annotations


class LoadTestError(Exception):
    """No load test took place. The message is for people."""


class WrongPlan(LoadTestError):
    """A plan cannot be carried out as it is. `field` names what is wrong in it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field} {message}")
        self.field = field
        self.message = message
