"""Lets pages of other origins ask from within a browser, where the settings name them."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

ALLOWED = ("Authorization", "Content-Type", "X-Request-ID", "X-Request-Timeout-Ms")
EXPOSED = ("X-Request-ID", "Server-Timing", "Retry-After")


def open_to(app: FastAPI, origins: tuple[str, ...]) -> None:
    """Answer these origins' browsers with leave to ask; without any, all are told nothing."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("GET", "POST"),
            allow_headers=ALLOWED,
            expose_headers=EXPOSED,
        )
