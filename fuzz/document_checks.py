"""Loaded by Schemathesis: our own check beside its checks."""

from __future__ import annotations

from typing import Any

import schemathesis

DEADLINE = "x-request-timeout-ms"


@schemathesis.check
def no_server_error(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """No 5xx, but for a 504 to a client that set a deadline of its own, which has passed."""
    asked = any(name.lower() == DEADLINE for name in case.headers or ())
    if response.status_code >= 500 and not (response.status_code == 504 and asked):
        raise AssertionError(f"answered with {response.status_code}")
