"""One line of the table: what a fault did, counted from the records of a trial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.load import Outcome, Sent


@dataclass(frozen=True)
class Row:
    """What became of a trial.

    Attributes:
        sent, right, wrong, refused, late, failed: requests; they add up. Late is a 504.
        in_flight: those under way when the fault struck, and of these the ones that failed.
        notice_seconds: from the strike to the first /readyz that was no 200; None where all were.
        recover_seconds: from the strike, or the mending, until it is ready and answers rightly, and
            nothing fails any more; None where that did not come.
        in_time_before, in_time_after: shares of all requests answered within the promise, before
            the strike and once recovered; None where none was sent.
        left: processes, shared memory and temporary folders that were there after its end.
        failures: how requests failed or were wrong, most frequent first, with their number.
    """

    fault: str
    sent: int
    right: int
    wrong: int
    refused: int
    late: int
    failed: int
    in_flight: int
    in_flight_failed: int
    notice_seconds: float | None
    recover_seconds: float | None
    in_time_before: float | None
    in_time_after: float | None
    left: Sequence[str] = ()
    failures: Sequence[tuple[str, int]] = ()


def recovered_at(sent: Sequence[Sent], struck: float, ready_again: float | None) -> float | None:
    """When it is ready again and a request was answered rightly after the last that failed.

    A 429 or 504 is no sign of a fault: every service at work gives some. A 503 is.
    """
    if ready_again is None:
        return None
    bad = [s.ended for s in sent if s.ended and s.ended >= struck and is_fault(s)]
    if not bad:
        return ready_again
    right = [s.ended for s in sent if s.ended and s.outcome is Outcome.RIGHT and s.ended > max(bad)]
    return max(min(right), ready_again) if right else None


def is_fault(sent: Sent) -> bool:
    """Wrong, failed, or refused for another reason than the time it would take."""
    return sent.outcome in (Outcome.WRONG, Outcome.FAILED) or sent.status == 503


def in_time(sent: Sequence[Sent]) -> float | None:
    """Share answered rightly within the promise."""
    return sum(each.in_time for each in sent) / len(sent) if sent else None


def row_of(
    fault: str,
    sent: Sequence[Sent],
    *,
    struck: float,
    mended: float,
    noticed: float | None,
    ready_again: float | None,
    left: Sequence[str] = (),
) -> Row:
    """Count; times are of `time.monotonic()`."""
    outcomes = Counter(each.outcome for each in sent)
    in_flight = [s for s in sent if s.began < struck and (s.ended is None or s.ended >= struck)]
    recovered = recovered_at(sent, struck, ready_again)
    failures = Counter(s.why for s in sent if s.outcome in (Outcome.FAILED, Outcome.WRONG))
    return Row(
        fault,
        sent=len(sent),
        right=outcomes[Outcome.RIGHT],
        wrong=outcomes[Outcome.WRONG],
        refused=outcomes[Outcome.REFUSED],
        late=outcomes[Outcome.LATE],
        failed=outcomes[Outcome.FAILED],
        in_flight=len(in_flight),
        in_flight_failed=sum(each.outcome is Outcome.FAILED for each in in_flight),
        notice_seconds=None if noticed is None else noticed - struck,
        recover_seconds=None if recovered is None else max(0.0, recovered - mended),
        in_time_before=in_time([s for s in sent if s.ended and s.ended < struck]),
        in_time_after=None
        if recovered is None
        else in_time([s for s in sent if s.began > recovered]),
        left=left,
        failures=failures.most_common(),
    )
