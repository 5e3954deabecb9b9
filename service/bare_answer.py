"""A problem as the bytes of an HTTP/1.1 answer, for what never reaches the application."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.api.safe_headers import ENCODED
from service.errors import RequestError
from service.problems import MEDIA_TYPE, body_of, headers_of, problem_of


def bare_answer(error: RequestError, headers: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """The answer, with `headers` and those of all answers; the connection closes after it."""
    request_id = secrets.token_hex(16)
    body = json.dumps(body_of(error, request_id)).encode()
    ours = {
        "content-type": MEDIA_TYPE,
        "content-length": str(len(body)),
        "x-request-id": request_id,
        **{name.lower(): value for name, value in headers_of(error).items()},
        "connection": "close",
    }
    lines = [b"%s: %s\r\n" % header for header in (*headers, *ENCODED)]
    lines += [f"{name}: {value}\r\n".encode("ascii") for name, value in ours.items()]
    return b"".join([STATUS_LINE[problem_of(error).status], *lines, b"\r\n", body])
