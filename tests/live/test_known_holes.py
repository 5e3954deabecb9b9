"""What bounds the known holes of the embedded Triton is in place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from service.triton.server import EmbeddedTriton
from tests.test_security import TEXT

pytestmark = pytest.mark.live

Stub = service_pb2_grpc.GRPCInferenceServiceStub


@pytest.fixture
def stub(tiny_triton: EmbeddedTriton) -> Any:
    with grpc.insecure_channel(tiny_triton.grpc_target) as channel:
        yield Stub(channel)


def test_the_version_is_the_one_whose_holes_were_read_about(stub: Any) -> None:
    version = stub.ServerMetadata(service_pb2.ServerMetadataRequest(), timeout=10).version
    assert f"holds Triton {version}," in TEXT


def test_it_listens_on_loopback_alone(tiny_triton: EmbeddedTriton) -> None:
    addresses = listening(tiny_triton.pid)
    assert addresses
    assert addresses <= {"0100007F", "0000000000000000FFFF00000100007F"}  # the same, in IPv6


def listening(group: int) -> set[str]:
    """Addresses that a Triton's processes listen on, as the kernel has them."""
    inodes = set()
    for folder in Path("/proc").glob("[0-9]*"):
        if in_group_of(folder, group):
            inodes |= {socket_inode(link) for link in links_in(folder / "fd")} - {None}
    return {
        fields[1].partition(":")[0]
        for table in ("tcp", "tcp6")
        for fields in map(str.split, Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        if fields[3] == "0A" and fields[9] in inodes
    }


def in_group_of(folder: Path, group: int) -> bool:
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()[2] == str(group)
    except OSError:
        return False


def links_in(folder: Path) -> list[str]:
    found = []
    for path in folder.iterdir():
        try:
            found.append(str(path.readlink()))
        except OSError:
            continue
    return found


def socket_inode(link: str) -> str | None:
    return link[len("socket:[") : -1] if link.startswith("socket:[") else None
