"""TCP ports on loopback: finding free ones and refusing busy ones by name."""

from __future__ import annotations

import ipaddress
import socket

from service.errors import ServeError

# How the port of each purpose is chosen, for people.
OPTIONS = {
    "grpc": "--grpc-port",
    "metrics": "--metrics-port, or with SUB50_TRITON_METRICS_PORT where `sub50 serve` starts it",
    "http": "http_port",
}


def require_loopback(address: str, option: str) -> None:
    """Raise ServeError, naming the option, unless the address is one of 127.0.0.0/8."""
    try:
        is_loopback = ipaddress.IPv4Address(address).is_loopback
    except ipaddress.AddressValueError:
        is_loopback = False
    if not is_loopback:
        raise ServeError(
            f"{option} {address}: the embedded Triton answers on this machine alone; give an "
            "address from 127.0.0.1 to 127.255.255.254, or run NVIDIA's container where others "
            "have to reach it"
        )


def reserve_port(address: str, port: int, purpose: str, option: str) -> int:
    """A port that can be listened on: the given one, or any if it is 0.

    Raises ServeError, naming port and option, if the given one is taken.
    """
    # Like the servers do: a port that only lingers after a stopped server counts as free.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            # Bound is not enough: with SO_REUSEADDR only listening tells of another listener.
            probe.listen(1)
        except OSError as error:
            raise ServeError(
                f"Port {port} on {address}, for Triton's {purpose}, is in use or forbidden "
                f"({error.strerror}): stop what listens there, or choose another with {option}."
            ) from error
        return int(probe.getsockname()[1])


def reserve_ports(address: str, ports: dict[str, int]) -> dict[str, int]:
    """`reserve_port` for each purpose (grpc, metrics, http); all different."""
    reserved: dict[str, int] = {}
    for purpose, port in ports.items():
        found = reserve_port(address, port, purpose, OPTIONS[purpose])
        while port == 0 and found in reserved.values():
            found = reserve_port(address, port, purpose, OPTIONS[purpose])
        if found in reserved.values():
            raise ServeError(f"Port {found} is asked for twice: give Triton different ports.")
        reserved[purpose] = found
    return reserved
