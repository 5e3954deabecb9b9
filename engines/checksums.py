"""SHA-256 of files and of values."""

from __future__ import annotations

import hashlib
import json

from core.checksums import changed_files, file_sha256, recorded_files

__all__ = ["changed_files", "file_sha256", "recorded_files", "value_sha256"]


def value_sha256(value: object) -> str:
    """Hexadecimal SHA-256 of a value that JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
