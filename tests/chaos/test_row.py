"""What is counted of a trial, from records made by hand."""

from __future__ import annotations

import pytest

from chaos.load import Outcome, Sent
from chaos.readiness import ReadinessWatch, Seen
from chaos.row import Row, row_of

STRUCK = 10.0


def sent(began: float, took: float, outcome: Outcome, status: int = 0, why: str = "") -> Sent:
    return Sent(began, began + took, outcome, status, why)


def right(began: float, took: float = 0.01) -> Sent:
    return sent(began, took, Outcome.RIGHT, 200)


def counted(*records: Sent, ready_again: float | None = STRUCK, mended: float = STRUCK) -> Row:
    return row_of(
        "any", records, struck=STRUCK, mended=mended, noticed=None, ready_again=ready_again
    )


def test_outcomes_add_up_and_those_in_flight_are_told_apart() -> None:
    row = counted(
        right(9.0),
        sent(9.9, 0.2, Outcome.FAILED, why="closed"),
        sent(9.95, 0.2, Outcome.REFUSED, 503),
        sent(10.1, 0.1, Outcome.FAILED, why="closed"),
        sent(10.1, 0.1, Outcome.LATE, 504),
        sent(10.2, 0.1, Outcome.WRONG, 200, "200: …"),
        right(11.0),
    )
    assert (row.sent, row.right, row.wrong, row.refused) == (7, 2, 1, 1)
    assert (row.late, row.failed) == (1, 2)
    assert (row.in_flight, row.in_flight_failed) == (2, 1)
    assert row.failures == [("closed", 2), ("200: …", 1)]


@pytest.mark.parametrize(
    ("records", "ready_again", "seconds"),
    [
        # The first right answer after the last failure.
        ([sent(10.5, 0.5, Outcome.FAILED), right(11.0, 0.5), right(12.0)], STRUCK, 1.5),
        # 503 counts, 429 does not.
        ([sent(10.0, 0.5, Outcome.REFUSED, 503), right(11.0, 0.5)], STRUCK, 1.5),
        ([sent(10.0, 0.5, Outcome.REFUSED, 429), right(11.0, 0.5)], STRUCK, 0.0),
        ([sent(10.0, 0.5, Outcome.LATE, 504), right(11.0, 0.5)], STRUCK, 0.0),
        # Readiness comes later than answers.
        ([sent(10.5, 0.5, Outcome.FAILED), right(11.0)], 13.0, 3.0),
        # It never came back, or answered nothing since.
        ([sent(10.5, 0.5, Outcome.FAILED), right(11.0)], None, None),
        ([sent(10.5, 0.5, Outcome.FAILED)], STRUCK, None),
        # What failed before the strike is not its doing.
        ([sent(9.0, 0.5, Outcome.FAILED), right(9.6)], STRUCK, 0.0),
    ],
)
def test_recovery(records: list[Sent], ready_again: float | None, seconds: float | None) -> None:
    row = counted(*records, ready_again=ready_again)
    assert row.recover_seconds == (None if seconds is None else pytest.approx(seconds))


def test_recovery_counts_from_the_mending() -> None:
    row = counted(sent(10.5, 0.5, Outcome.FAILED), right(13.0, 0.5), mended=13.0)
    assert row.recover_seconds == pytest.approx(0.5)


def test_the_promise_is_looked_at_before_and_once_recovered() -> None:
    row = counted(
        right(8.0),
        right(8.5, 0.2),
        sent(10.0, 0.5, Outcome.FAILED),
        right(11.0),
        right(12.0),
        sent(12.5, 0.01, Outcome.REFUSED, 429),
    )
    assert row.in_time_before == 0.5
    assert row.in_time_after == 0.5


def watched(*seen: tuple[float, bool]) -> ReadinessWatch:
    watch = ReadinessWatch("127.0.0.1", 1)
    watch.seen = [Seen(at, ready) for at, ready in seen]
    return watch


def test_readiness_is_noticed_and_comes_again() -> None:
    watch = watched((9.0, False), (9.5, True), (10.5, True), (11.0, False), (12.0, True))
    assert watch.noticed(STRUCK) == 11.0
    assert watch.ready_again(STRUCK) == 12.0
    assert watched((9.0, True), (11.0, True)).noticed(STRUCK) is None
    assert watched((9.0, True), (11.0, True)).ready_again(STRUCK) == STRUCK
    flapping = watched((11.0, False), (12.0, True), (13.0, False))
    assert flapping.ready_again(STRUCK) is None
