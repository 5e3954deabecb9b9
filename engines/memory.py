"""`python -m engines.memory ENGINE` prints the resident bytes that an engine adds to a process."""

from __future__ import annotations

import sys
from pathlib import Path

from core.tokenizer import pad
from engines.measure import feed, open_session

PROCESS_STATUS = Path("/proc/self/status")


def resident_bytes() -> int:
    """Resident memory of this process (Linux)."""
    for line in PROCESS_STATUS.read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no VmRSS in {PROCESS_STATUS}")


def main(engine: Path) -> None:
    """Print the growth from loading `engine` and running a batch of 8 texts of 128 tokens."""
    before = resident_bytes()
    session = open_session(engine, threads=1)
    session.run(None, feed(*pad([[1] * 128] * 8, 128)))
    print(resident_bytes() - before)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
