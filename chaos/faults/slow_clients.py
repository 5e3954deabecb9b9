"""Clients that take their time, a thousand at once: nobody else is to notice."""

from __future__ import annotations

from chaos.clients import Clients

CLIENTS = 1000


class _SlowClients(Clients):
    """Base of those below. `kind` is one of `chaos.slow_clients`."""

    module = "chaos.slow_clients"
    kind = ""
    # Longer than the service's own patience, so that it has to end them all at least once.
    held_seconds = 14.0

    def __init__(self, clients: int = CLIENTS) -> None:
        super().__init__(self.kind, str(clients))


class SlowHeaders(_SlowClients):
    """A header a second from each of 1,000 connections (slowloris)."""

    name = "slow-headers"
    kind = "headers"


class SlowBodies(_SlowClients):
    """A byte of the body a second from each of 1,000 connections."""

    name = "slow-bodies"
    kind = "bodies"


class SlowReaders(_SlowClients):
    """1,000 connections that ask for a megabyte each, and read none of it."""

    name = "slow-readers"
    kind = "readers"


class IdleConnections(_SlowClients):
    """1,000 connections that send nothing."""

    name = "idle-connections"
    kind = "idle"


FAULTS = (SlowHeaders(), SlowBodies(), SlowReaders(), IdleConnections())
