"""Connections that the kernel has taken for a listener, and nobody has accepted yet.

Whoever made one counts as connected, and has most often sent a request. All of them are reset when
the listener closes.
"""

from __future__ import annotations

import socket


def taken_from(listener: socket.socket) -> list[socket.socket]:
    """Accept all that wait there; the listener must not block."""
    taken: list[socket.socket] = []
    while True:
        try:
            taken.append(listener.accept()[0])
        except OSError:  # none waits any more, or there is no descriptor for it
            return taken
