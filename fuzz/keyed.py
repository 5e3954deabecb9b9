"""A service that asks for keys: nobody is let in without one, nor by one of another kind."""

from __future__ import annotations

from fuzz.keyed_requests import KeyedRequest, make
from fuzz.keys import CALLER, MANAGER
from fuzz.outcome import Outcome
from fuzz.sockets import KNOWN, judged_statuses, send_all
from fuzz.target import Target

PART = "requests with keys and without"
# Beside those of raw bytes: what cannot be promoted or rolled back.
ALSO_KNOWN = {409}
ALIVE = b"\r\n\r\nok\n"


def fuzz_keys(target: Target, inputs: int, seed: int) -> Outcome:
    """`inputs` connections of the seeds from `seed` on, to a service with the keys of fuzz.keys."""
    outcome = Outcome(PART)
    send_all(target, range(seed, seed + inputs), make, judge, outcome)
    return outcome


def judge(seed: int, request: KeyedRequest, answer: bytes, outcome: Outcome) -> None:
    """Count who was let in, whose key was not taken, and what else is wrong."""
    which = f"connection {seed} with keys and without"
    content = b"".join(request.pieces)
    statuses = judged_statuses(which, content, answer, outcome, KNOWN | ALSO_KNOWN)
    for asked, status in zip(request.asked, statuses, strict=False):
        first_line = asked.content[:60].partition(b"\r\n")[0]
        if 200 <= status < 300 and not asked.allowed:
            outcome.somebody_let_in(f"{which}: {first_line!r} answered with {status}")
        if asked.owed and status in (401, 404):
            outcome.other_failure(f"{which}: {first_line!r} with its key, and turned away")
    # Bytes without a key are let in nowhere but where everybody is.
    if not request.asked and statuses.count(200) > answer.count(ALIVE):
        outcome.somebody_let_in(f"{which}: answered with 200")
    if any(key.encode() in answer for key in (CALLER, MANAGER)):
        outcome.other_failure(f"{which}: a key stands in the answer")
