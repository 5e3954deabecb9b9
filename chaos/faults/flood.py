"""Requests at many times the rate that the service can answer: those of others are still right."""

from __future__ import annotations

from chaos.clients import Clients

RATE_PER_SECOND = 500


class Flood(Clients):
    """A client that sends far more than the service can answer, for ten seconds."""

    name = "flood"
    held_seconds = 10.0
    module = "chaos.flood"

    def __init__(self) -> None:
        super().__init__(str(RATE_PER_SECOND))


FAULTS = (Flood(),)
