"""Who is connected: how many in all and of each address, and who gives way where it is full.

A connection that waits, for a first byte, for the rest of a request's headers or for the next
request, holds a place that somebody else could use. So where all places are taken, of the address
or in all, the one that has waited longest is closed for the one that comes. Only where none waits
is somebody turned away. Slow senders can therefore fill the places, but lock nobody out.
"""

from __future__ import annotations

import ipaddress
import logging
import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from service.errors import RequestError, TooManyConnections, TooManyOfAddress
from service.head_limits import HeadLimits
from service.settings import Settings

log = logging.getLogger("sub50.connections")

# Descriptors for everything but clients: Triton, the log, the repository, who is being turned away.
RESERVED_DESCRIPTORS = 512


class Connection(Protocol):
    """One client's connection, as it is known here."""

    @property
    def address(self) -> str:
        """Whose it is; connections with the same are counted together."""
        ...

    def give_way(self) -> None:
        """Close at once; what has come of a request is lost."""
        ...


# Ordered: who has waited longest comes first.
Waiting = dict[Connection, None]


@dataclass
class _Address:
    open: int = 0
    waiting: Waiting = field(default_factory=dict)


class Connections:
    """All open connections of the service; belongs to one event loop.

    `most` is how many there may be, of which one address may have `most_of_address`; 0 is any
    number. `on_cut` is told the reason of every connection that is refused or ended from here.
    """

    def __init__(self, settings: Settings, most: int | None = None) -> None:
        self.settings = settings
        self.head_limits = HeadLimits(settings)
        self.most = settings.max_connections if most is None else most
        self.most_of_address = settings.max_connections_per_address
        self.on_cut: Callable[[str], None] = lambda _reason: None
        # Those that were refused and not counted, until they have read why.
        self.lingering = 0
        self._waiting: Waiting = {}
        self._addresses: dict[str, _Address] = {}
        self._open: dict[Connection, _Address] = {}

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._open)

    def join(self, connection: Connection) -> RequestError | None:
        """Count a new connection, which waits; or say why there is no room for it."""
        name = connection.address
        address = self._addresses.get(name) or _Address()
        if (
            self.most_of_address
            and address.open >= self.most_of_address
            and not self._make_room(address.waiting)
        ):
            return TooManyOfAddress(
                f"{self.most_of_address} requests from your address are under way; send fewer at a "
                "time"
            )
        if len(self._open) >= self.most and not self._make_room(self._waiting):
            return TooManyConnections(f"{self.most} requests are under way; try again later")
        self._addresses[name] = address
        address.open += 1
        self._open[connection] = address
        self.wait(connection)
        return None

    def leave(self, connection: Connection) -> None:
        """Count a connection no longer, if it was counted."""
        address = self._open.pop(connection, None)
        if address is None:
            return
        self._waiting.pop(connection, None)
        address.waiting.pop(connection, None)
        address.open -= 1
        if address.open == 0:
            del self._addresses[connection.address]

    def wait(self, connection: Connection) -> None:
        """The connection waits from now on, and may have to give way."""
        if (address := self._open.get(connection)) is not None:
            self._waiting[connection] = address.waiting[connection] = None

    def work(self, connection: Connection) -> None:
        """A request of the connection is under way, so that it keeps its place."""
        if (address := self._open.get(connection)) is not None:
            self._waiting.pop(connection, None)
            address.waiting.pop(connection, None)

    def _make_room(self, waiting: Waiting) -> bool:
        oldest = next(iter(waiting), None)
        if oldest is None:
            return False
        self.leave(oldest)
        self.on_cut("gave_way")
        oldest.give_way()
        return True


def counted_as(host: str) -> str:
    """The address that a host's connections are counted under.

    A customer of IPv6 is given 2⁶⁴ addresses or more, so these count as one.
    """
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))


def room_for_connections(settings: Settings) -> int:
    """How many connections the process has descriptors for, up to what the settings allow.

    Raises the process's own limit where the system lets it, and warns where that is not enough.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.max_connections + RESERVED_DESCRIPTORS
    if soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    if soft >= needed:
        return settings.max_connections
    room = max(soft - RESERVED_DESCRIPTORS, soft // 2)
    log.warning(
        "SUB50_MAX_CONNECTIONS is %d, but this process may open %d files: %d connections are "
        "taken; raise it with `ulimit -n %d`, or LimitNOFILE of a systemd unit",
        settings.max_connections,
        soft,
        room,
        needed,
    )
    return room
