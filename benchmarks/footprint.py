"""Disk that the environment takes, and memory that a running stack takes.

    .venv/bin/python -m benchmarks.footprint

Memory is the sum of the proportional set sizes of `sub50 serve` and all processes below it: pages
that several share are counted once.
"""

from __future__ import annotations

import sys
from pathlib import Path

MIB = 1 << 20


def disk_bytes(folder: Path) -> int:
    """Bytes of all files below `folder`; a file with several names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            stat = path.stat()
            seen[stat.st_dev, stat.st_ino] = stat.st_blocks * 512
    return sum(seen.values())


def command_of(pid: int) -> list[str]:
    """Arguments of a process; empty if it is gone."""
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_text().rstrip("\0").split("\0")
    except OSError:
        return []


def parents() -> dict[int, int]:
    """Parent of every process."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            found[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    return found


def stack_processes() -> list[int]:
    """`sub50 serve` and everything below it."""
    parent_of = parents()
    inside = {pid for pid in parent_of if command_of(pid)[1:3][-1:] == ["serve"]}
    grown = True
    while grown:
        below = {pid for pid, parent in parent_of.items() if parent in inside} - inside
        inside |= below
        grown = bool(below)
    return sorted(inside)


def proportional_bytes(pid: int) -> int:
    """Proportional set size of a process."""
    rollup = (Path("/proc") / str(pid) / "smaps_rollup").read_text()
    return sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line[:4] == "Pss:")


def main() -> None:
    environment = Path(sys.prefix)
    print(f"environment {environment}: {disk_bytes(environment) / MIB:.0f} MiB on disk")
    torch = list(environment.glob("lib/python*/site-packages/torch"))
    print(f"PyTorch in it: {'yes' if torch else 'no'}")
    processes = stack_processes()
    if not processes:
        raise SystemExit("no `sub50 serve` is running; start one to measure its memory")
    total = 0
    for pid in processes:
        size = proportional_bytes(pid)
        total += size
        name = " ".join(Path(part).name for part in command_of(pid)[:3])
        print(f"  {pid:>8} {size / MIB:8.0f} MiB  {name[:70]}")
    print(f"whole stack: {total / MIB:.0f} MiB resident")


if __name__ == "__main__":
    main()
