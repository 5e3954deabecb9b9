"""Tests that need a C compiler, to change what a process is told by its C library."""

from __future__ import annotations

import os
import shutil

import pytest


def skip_without_compiler() -> None:
    """Skip the test where there is none; where REQUIRE_CC is set it goes on, and fails."""
    if shutil.which("cc") is None and not os.environ.get("REQUIRE_CC"):
        pytest.skip("needs a C compiler: apt-get install gcc libc6-dev")
