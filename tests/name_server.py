"""A name server on loopback that knows one name, whose addresses a test changes."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

from chaos.background import Background

NAME = "triton.test."
POLL_SECONDS = 0.1
ANY_DATAGRAM_BYTES = 1 << 16


class NameServer(Background):
    """Answers for `triton.test` with the IPv4 `addresses` of the moment, in a thread."""

    def __init__(self, addresses: Sequence[str]) -> None:
        super().__init__()
        self.addresses = list(addresses)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(POLL_SECONDS)

    def target(self, port: int) -> str:
        """What gRPC is told: the name server, the name, and the port at all its addresses."""
        return f"dns://127.0.0.1:{self._socket.getsockname()[1]}/{NAME.rstrip('.')}:{port}"

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._socket.close()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                asked, sender = self._socket.recvfrom(ANY_DATAGRAM_BYTES)
            except TimeoutError:
                continue
            self._socket.sendto(self._answer(asked), sender)

    def _answer(self, asked: bytes) -> bytes:
        query = dns.message.from_wire(asked)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        (question,) = query.question
        if question.rdtype == dns.rdatatype.A and question.name.to_text().lower() == NAME:
            answer.answer.append(dns.rrset.from_text(question.name, 0, "IN", "A", *self.addresses))
        return answer.to_wire()
