"""Looking keys up, their rates, and what stays when they are replaced."""

from __future__ import annotations

import hmac
from typing import Any

import pytest

from service.keys import ring as ring_module
from service.keys.line import line_of, lines_in, new_key
from service.keys.rate import RateLimit, burst_of
from service.keys.ring import KeyRing


def ring_of(*lines: str, default: float | None = None) -> KeyRing:
    ring = KeyRing(default)
    ring.replace(lines_in("\n".join(lines).encode()))
    return ring


def test_the_keys_are_found_and_no_others() -> None:
    first, second = new_key(), new_key()
    ring = ring_of(line_of("ana", first), line_of("bob", second))
    assert [key.name for key in map(ring.find, (first, second)) if key] == ["ana", "bob"]
    for wrong in ("", first[:-1], f"{first}x", first.lower(), "\udcff", "\0" * 32):
        assert ring.find(wrong) is None
    assert (len(ring), ring.names) == (2, {"ana", "bob"})


def test_nobody_is_found_in_an_empty_ring() -> None:
    assert KeyRing().find("") is None
    assert KeyRing().find("key") is None


def test_each_look_compares_once_whatever_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    class Counted:
        @staticmethod
        def compare_digest(one: bytes, other: bytes) -> bool:
            compared.append((one, other))
            return hmac.compare_digest(one, other)

    monkeypatch.setattr(ring_module, "hmac", Counted)
    keys = [new_key() for _ in range(50)]
    ring = ring_of(*(line_of(f"key-{i}", key) for i, key in enumerate(keys)))
    for asked in (keys[0], keys[-1], "wrong", ""):
        compared.clear()
        ring.find(asked)
        assert [(len(one), len(other)) for one, other in compared] == [(32, 32)]


def test_places_differ_between_processes_and_rings() -> None:
    line = line_of("ana", "key")
    one, other = (ring_of(line) for _ in range(2))
    assert set(one._keys) != set(other._keys)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_lets_through_its_burst_and_then_its_rate() -> None:
    clock = Clock()
    limit = RateLimit(10.0, 3, clock)
    assert [limit.wait_seconds() for _ in range(3)] == [0, 0, 0]
    assert limit.wait_seconds() == pytest.approx(0.1)
    clock.now += 0.05
    assert limit.wait_seconds() == pytest.approx(0.05)
    clock.now += 0.0500001
    assert limit.wait_seconds() == 0
    clock.now += 1000
    assert [limit.wait_seconds() > 0 for _ in range(4)] == [False, False, False, True]


def test_over_a_long_time_no_more_than_the_rate_gets_through() -> None:
    clock = Clock()
    limit = RateLimit(7.0, 2, clock)
    let_in = 0
    for _ in range(10_000):  # a hundred seconds of a hundred requests each
        let_in += limit.wait_seconds() == 0
        clock.now += 0.01
    assert 700 <= let_in <= 702


@pytest.mark.parametrize(("rate", "burst"), [(0.1, 1), (1, 1), (2.5, 3), (100, 100)])
def test_a_burst_is_what_a_second_brings(rate: float, burst: int) -> None:
    assert burst_of(rate, None) == burst
    assert burst_of(rate, 17) == 17


def limit_of(ring: KeyRing, key: str) -> Any:
    found = ring.find(key)
    assert found is not None
    return found.limit


def test_the_default_rate_holds_unless_a_line_has_its_own() -> None:
    ring = ring_of(
        line_of("ana", "a"),
        line_of("bob", "b", "rate=5"),
        line_of("cyd", "c", "rate=none"),
        line_of("dan", "d", "burst=9"),
        default=2.0,
    )
    limits = [limit_of(ring, key) for key in "abcd"]
    assert [limit and (limit.per_second, limit.burst) for limit in limits] == [
        (2, 2),
        (5, 5),
        None,
        (2, 9),
    ]
    assert limit_of(ring_of(line_of("ana", "a")), "a") is None


def test_the_keys_of_a_name_share_a_bucket_which_outlives_a_change() -> None:
    lines = [line_of("ana", "old", "rate=1"), line_of("ana", "new", "rate=1")]
    ring = ring_of(*lines)
    limit = limit_of(ring, "old")
    assert limit_of(ring, "new") is limit
    ring.replace(lines_in(lines[1].encode()))
    assert ring.find("old") is None
    assert limit_of(ring, "new") is limit
    ring.replace(lines_in(line_of("ana", "new", "rate=2").encode()))
    assert limit_of(ring, "new") is not limit
