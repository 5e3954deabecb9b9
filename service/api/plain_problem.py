"""Problems that are no error of ours: paths that are not there, and faults that nobody foresaw."""

from __future__ import annotations

import json

from fastapi import Request, Response

from service.api.exchange import REQUEST_ID, request_id_of
from service.api.safe_headers import HEADERS
from service.problems import MEDIA_TYPE


def plain_problem(request: Request, status: int, slug: str, title: str) -> Response:
    """The problem+json answer of a status, with the headers that all answers have."""
    request_id = request_id_of(request)
    body = {
        "type": f"urn:sub50:problem:{slug}",
        "title": title,
        "status": status,
        "detail": f"{request.method} {request.url.path[:200]}: {title}",
        "request_id": request_id,
    }
    headers = {REQUEST_ID: request_id, **HEADERS}
    return Response(json.dumps(body), status, headers, media_type=MEDIA_TYPE)
