"""The keys of a service that is fuzzed: always the same, so that a seed makes the same input."""

from __future__ import annotations

import base64
from pathlib import Path
from random import Random

from service.keys.line import KEY_BYTES, MANAGEMENT_PREFIX, PREFIX, line_of

CLOSED_PAGES = "board,docs,metrics,readyz"


def _key(prefix: str, seed: int) -> str:
    random_bytes = Random(seed).randbytes(KEY_BYTES)
    return prefix + base64.urlsafe_b64encode(random_bytes).decode().rstrip("=")


CALLER = _key(PREFIX, 1)
MANAGER = _key(MANAGEMENT_PREFIX, 2)


def settings_in(folder: Path) -> dict[str, str]:
    """Settings that ask for both keys and close every page; the files are written to `folder`."""
    lines = {
        "api_keys_file": line_of("ana", CALLER),
        "management_keys_file": line_of("root", MANAGER),
    }
    for setting, line in lines.items():
        (folder / setting).touch(0o600)
        (folder / setting).write_text(f"{line}\n", encoding="ascii")
    files = {setting: str(folder / setting) for setting in lines}
    return {**files, "closed_pages": CLOSED_PAGES}
