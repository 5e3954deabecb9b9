"""Two machines as far as the network goes: namespaces that a cable joins."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

# For documentation, so that no real network has these.
INSIDE, OUTSIDE = "192.0.2.1", "192.0.2.2"
LISTENING = "0A"

CONNECT = """
import json, socket, sys
host, ports, found = sys.argv[1], map(int, sys.argv[2:]), {}
for port in ports:
    try:
        socket.create_connection((host, port), timeout=3).close()
        found[port] = "open"
    except OSError as error:
        found[port] = type(error).__name__
print(json.dumps(found))
"""
# It becomes that user once it runs: Python may lie where only root gets to.
CONNECT_AS = """
import os, socket, sys
path, user = sys.argv[1], int(sys.argv[2])
os.setgroups([]), os.setgid(user), os.setuid(user)
try:
    socket.socket(socket.AF_UNIX).connect(path)
    print("open")
except OSError as error:
    print(type(error).__name__)
"""
ASK = """
import sys, urllib.request
body = sys.argv[2].encode() or None
request = urllib.request.Request(sys.argv[1], body, {"Content-Type": "application/json"})
print(urllib.request.urlopen(request, timeout=30).read().decode())
"""


def skip_without_namespaces() -> None:
    """Skip the test where there are none, or fail where REQUIRE_NAMESPACES is set."""
    why = None
    if shutil.which("ip") is None:
        why = "no `ip`; it comes with iproute2"
    elif os.geteuid() != 0:
        why = "needs root, to make network namespaces"
    else:
        name = f"sub50-{uuid.uuid4().hex[:8]}"
        made = _ip("netns", "add", name, check=False)
        if made.returncode == 0:
            _ip("netns", "del", name)
        else:
            why = f"no network namespace can be made: {made.stderr.strip()}"
    if why is not None:
        if os.environ.get("REQUIRE_NAMESPACES"):
            pytest.fail(why)
        pytest.skip(why)


def _ip(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=check)


@dataclass(frozen=True)
class Machine:
    """A network namespace by its name, and the address that the other one reaches it at."""

    name: str
    address: str

    def command(self, *command: str) -> list[str]:
        """A command that runs another one in here."""
        return ["ip", "netns", "exec", self.name, *command]

    def ask(self, url: str, body: Any = None) -> str:
        """GET, or POST of JSON."""
        content = "" if body is None else json.dumps(body)
        command = self.command(sys.executable, "-c", ASK, url, content)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def connect(self, host: str, ports: Sequence[int]) -> dict[int, str]:
        """What becomes of a connection to each port: open, or the name of the error."""
        command = self.command(sys.executable, "-c", CONNECT, host, *map(str, ports))
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return {int(port): how for port, how in json.loads(shown).items()}

    def listeners(self) -> set[tuple[str, int]]:
        """Every address and port that anything in here listens on."""
        shown = subprocess.run(
            self.command("cat", "/proc/self/net/tcp", "/proc/self/net/tcp6"),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        found = set()
        for fields in map(str.split, shown.splitlines()):
            if len(fields) > 3 and fields[3] == LISTENING:
                host, _, port = fields[1].partition(":")
                # The kernel writes each 32 bits in the order of this machine, which is x86.
                words = bytes.fromhex(host)
                packed = b"".join(words[i : i + 4][::-1] for i in range(0, len(words), 4))
                address = ip_address(packed)
                # How gRPC listens at an address of IPv4.
                address = getattr(address, "ipv4_mapped", None) or address
                found.add((str(address), int(port, 16)))
        return found


@contextmanager
def two_machines() -> Iterator[tuple[Machine, Machine]]:
    """An inner and an outer machine with a cable between them."""
    token = uuid.uuid4().hex[:6]
    inner, outer = Machine(f"in-{token}", INSIDE), Machine(f"out-{token}", OUTSIDE)
    made: list[Machine] = []
    try:
        for machine in (inner, outer):
            _ip("netns", "add", machine.name)
            made.append(machine)
        ends = f"vi{token}", f"vo{token}"
        _ip("link", "add", ends[0], "netns", inner.name, "type", "veth", "peer", "name", ends[1],
            "netns", outer.name)  # fmt: skip
        for machine, end in zip((inner, outer), ends, strict=True):
            _ip("-n", machine.name, "address", "add", f"{machine.address}/24", "dev", end)
            for link in ("lo", end):
                _ip("-n", machine.name, "link", "set", link, "up")
        yield inner, outer
    finally:
        for machine in made:
            _ip("netns", "del", machine.name, check=False)


def connect_as(user: int, path: Path) -> str:
    """What becomes of that user's connection to a Unix socket: open, or the name of the error."""
    command = [sys.executable, "-c", CONNECT_AS, str(path), str(user)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return shown.strip()


def unix_sockets(folder: Path) -> list[Path]:
    """Every socket below a folder."""
    return [path for path in folder.rglob("*") if path.is_socket()]
