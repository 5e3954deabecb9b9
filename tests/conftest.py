"""Tests record nothing in the store of the machine that they run on."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def untracked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn tracking off; tests of it name a store of their own."""
    monkeypatch.setenv("SUB50_TRACKING_URI", "none")
