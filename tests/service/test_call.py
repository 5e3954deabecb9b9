import time

import pytest

from service.call import Call, RequestClass
from service.errors import DeadlineExceeded


def test_the_shorter_timeout_counts() -> None:
    call = Call("id", caller_timeout_ms=20)
    call.set_class("interactive", 1000)
    assert call.timeout_ms == 20
    patient = Call("id", caller_timeout_ms=5000)
    patient.set_class("interactive", 1000)
    assert patient.timeout_ms == 1000


def test_a_passed_deadline_is_an_error() -> None:
    call = Call("id", caller_timeout_ms=1, started=time.monotonic() - 1)
    call.set_class("interactive", 1000)
    with pytest.raises(DeadlineExceeded, match="1 ms"):
        call.require_time()


def test_an_answer_may_be_late_where_the_caller_set_no_deadline() -> None:
    call = Call("id", started=time.monotonic() - 0.06)
    call.set_class("interactive", 50, late_answer_ms=50)
    call.require_time()
    assert call.is_late
    call.started -= 0.05
    with pytest.raises(DeadlineExceeded, match="100 ms"):
        call.require_time()


@pytest.mark.parametrize("request_class", ["interactive", "bulk"])
def test_a_callers_deadline_is_hard(request_class: RequestClass) -> None:
    call = Call("id", caller_timeout_ms=40, started=time.monotonic() - 0.045)
    call.set_class(request_class, 50, late_answer_ms=50)
    with pytest.raises(DeadlineExceeded, match="40 ms"):
        call.require_time()


def test_stages_add_up_and_show_in_server_timing() -> None:
    call = Call("id")
    for _ in range(2):
        with call.stage("infer"):
            time.sleep(0.002)
    assert call.stage_seconds["infer"] >= 0.004
    header = call.server_timing()
    assert header.startswith("infer;dur=")
    assert "total;dur=" in header


def test_a_stage_that_fails_is_timed_too() -> None:
    call = Call("id")
    with pytest.raises(ZeroDivisionError), call.stage("tokenize"):
        1 / 0  # noqa: B018
    assert "tokenize" in call.stage_seconds
