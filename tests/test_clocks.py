"""Time that is measured or waited for is that of a clock which only runs forward.

The clock on the wall may be set while something waits. Where it is asked all the same, it is
written down for people or for other programs, and nothing is computed from it.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("chaos", "core", "loadtest", "service")
ON_THE_WALL = {
    ("time", "time"),
    ("time", "time_ns"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
}
WRITTEN_DOWN = {
    "chaos/__main__.py": "the date of a table",
    "chaos/soak/__main__.py": "the date of a table",
    "loadtest/report.py": "the date of a report",
    "service/board/live.py": "since when it runs, for people",
    "service/tracing.py": "when a span began, which collectors compare between machines",
}


def asked(path: Path) -> list[str]:
    """Where a file asks for the time on the wall, as line and call."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            if (owner, node.attr) in ON_THE_WALL:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno} {owner}.{node.attr}")
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            found += [
                f"{path.relative_to(ROOT)}:{node.lineno} from time import {alias.name}"
                for alias in node.names
                if ("time", alias.name) in ON_THE_WALL
            ]
    return found


def test_nothing_is_computed_from_the_clock_on_the_wall() -> None:
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    offences = [
        each
        for path in files
        if path.relative_to(ROOT).as_posix() not in WRITTEN_DOWN
        for each in asked(path)
    ]
    assert offences == [], "use time.monotonic(), or say in WRITTEN_DOWN what it is for"
    unused = [name for name in WRITTEN_DOWN if not asked(ROOT / name)]
    assert unused == []
