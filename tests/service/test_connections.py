"""How many connections there may be, and who gives way."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from service.connections import Connections, counted_as, room_for_connections
from service.errors import TooManyConnections, TooManyOfAddress
from service.settings import Settings
from tests.service.conftest import StartService
from tests.service.raw_client import BODY, HEAD, WHOLE, RawClient, cut


class Client:
    def __init__(self, address: str = "a") -> None:
        self.address = address
        self.gone = False

    def give_way(self) -> None:
        self.gone = True


def connections(**settings: int) -> Connections:
    return Connections(Settings(**settings))


def test_the_one_that_waited_longest_gives_way() -> None:
    held = connections(max_connections=2)
    first, second, third = Client("a"), Client("b"), Client("c")
    assert held.join(first) is None
    assert held.join(second) is None
    held.work(first)
    held.wait(first)
    assert held.join(third) is None
    assert (first.gone, second.gone) == (False, True)
    assert held.open == 2


def test_nobody_gives_way_with_a_request_under_way() -> None:
    held = connections(max_connections=2)
    first, second = Client("a"), Client("b")
    for client in (first, second):
        held.join(client)
        held.work(client)
    assert type(held.join(Client("c"))) is TooManyConnections
    assert not first.gone
    held.leave(first)
    assert held.join(Client("c")) is None


def test_an_address_takes_only_its_own_places() -> None:
    held = connections(max_connections=10, max_connections_per_address=2)
    other, greedy = Client("b"), [Client("a") for _ in range(3)]
    held.join(other)
    for client in greedy[:2]:
        held.join(client)
    assert held.join(greedy[2]) is None
    assert [client.gone for client in greedy] == [True, False, False]
    for client in greedy[1:]:
        held.work(client)
    assert type(held.join(Client("a"))) is TooManyOfAddress
    assert held.join(Client("b")) is None
    assert not other.gone


def test_no_limit_of_an_address_where_it_is_off() -> None:
    held = connections(max_connections=1000, max_connections_per_address=0)
    clients = [Client("a") for _ in range(900)]
    for client in clients:
        assert held.join(client) is None
        held.work(client)
    for client in clients:
        held.leave(client)
        held.leave(client)
    assert held.open == 0


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_address_of_ipv6_is_its_network(host: str, counted: str) -> None:
    assert counted_as(host) == counted


@pytest.fixture
def file_limit() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], before[1]), before[1]))


def test_the_process_takes_the_descriptors_that_it_needs(file_limit: None) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (900, hard))
    assert room_for_connections(Settings(max_connections=1000)) == 1000
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 1000


def test_it_says_where_there_are_too_few(
    file_limit: None, caplog: pytest.LogCaptureFixture
) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        pytest.skip("this system sets no limit to open files")
    assert room_for_connections(Settings(max_connections=hard + 1)) < hard
    assert "LimitNOFILE" in caplog.text


def test_a_full_house_makes_room_for_who_asks(start_service: StartService) -> None:
    service = start_service(max_connections=20)
    with ExitStack() as stack:
        idle = [stack.enter_context(RawClient(service.url)) for _ in range(40)]
        with RawClient(service.url) as client:
            client.send(WHOLE)
            assert client.receive().status == 200
        assert idle[0].is_closed(1)
        assert not idle[-1].is_closed(0.1)
    assert cut(service.client, "gave_way") >= 21


@pytest.mark.parametrize(
    ("limit", "status", "slug"),
    [
        ("max_connections", 503, "too-many-connections"),
        ("max_connections_per_address", 429, "too-many-of-address"),
    ],
)
def test_where_all_have_a_request_under_way_the_next_is_told(
    start_service: StartService, limit: str, status: int, slug: str
) -> None:
    service = start_service(**{limit: 8})
    with ExitStack() as stack:
        busy = [stack.enter_context(RawClient(service.url)) for _ in range(8)]
        for client in busy:
            client.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY))
        time.sleep(0.3)
        with RawClient(service.url) as late:
            late.send(WHOLE)
            answer = late.receive()
        assert answer.status == status
        assert answer.problem["type"] == f"urn:sub50:problem:{slug}"
        assert answer.headers["retry-after"] == "1"
        for client in busy:
            client.send(BODY)
            assert client.receive().status == 200
    assert cut(service.client, slug.replace("-", "_")) == 1


def test_who_is_turned_away_costs_no_more_than_a_moment(start_service: StartService) -> None:
    service = start_service(max_connections=4)
    with ExitStack() as stack:
        busy = [stack.enter_context(RawClient(service.url)) for _ in range(4)]
        for client in busy:
            client.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY))
        time.sleep(0.2)
        flood = [stack.enter_context(RawClient(service.url)) for _ in range(600)]
        time.sleep(0.3)
        for client in busy:
            client.send(BODY)
            assert client.receive().status == 200
        assert all(client.is_closed(3) or client.receive().status == 503 for client in flood)
    assert service.post("/v1/classify", {"input": "a good film"}).status_code == 200


def test_connections_are_counted(start_service: StartService) -> None:
    service = start_service()  # one that no other test has connections to
    with RawClient(service.url) as client:
        client.send(WHOLE)
        assert client.receive().status == 200
        text = service.client.get("/metrics").text
    assert "sub50_connections 2.0" in text
