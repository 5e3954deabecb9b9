"""Says so where everybody is let in."""

from __future__ import annotations

import ipaddress
import logging

from service.settings import Settings

log = logging.getLogger("sub50.keys")


def warn_where_open(settings: Settings) -> None:
    """Log a warning where others than this machine reach the service and no key is asked for."""
    if settings.asks_for_keys or is_loopback(settings.host):
        return
    log.warning(
        "whoever reaches %s:%d may use this service: it asks for no key. `sub50 keys new NAME "
        "--file FILE` makes one, and SUB50_API_KEYS_FILE=FILE asks for it; where a proxy or a "
        "network policy lets in only whom you trust, nothing is missing",
        *(settings.host, settings.port),
    )


def is_loopback(host: str) -> bool:
    """Whether an address, or a name, is of this machine alone; of other names nothing is known."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
