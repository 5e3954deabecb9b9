"""Requests at many times the rate that can be answered: those of others are still right."""

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


class PageFlood(Clients):
    """A client that asks for pages, over a hundred connections, as fast as it gets them."""

    name = "page-flood"
    held_seconds = 10.0
    module = "chaos.page_flood"


FAULTS = (Flood(), PageFlood())
