"""What `sub50 engines promote` and `rollback` show. Standard output is for JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from engines.promote import promote, rollback
from engines.shadow_option import shown_shadow, told_shadow

NO_SERVICE = (
    "No `sub50 serve` runs on this repository: it is served from the next start on. A Triton of "
    "your own has to load it itself, and `sub50 api` over it has to be started anew."
)


def run_promote(
    name: str,
    candidate: str,
    repository: Path,
    force: bool,
    shadow: str | None = None,
    shadow_share: float = 1.0,
) -> dict[str, Any]:
    """Promote and say what came of it; raises like `promote`.

    `shadow` is for how long the candidate is asked copies of live requests first, as `10m`.
    """
    if shadow is None:
        return _told(promote(name, candidate, repository, force))
    with shown_shadow(shadow, shadow_share) as shadowing:
        result = promote(name, candidate, repository, force, shadowing)
    return _told(result)


def run_rollback(name: str, repository: Path) -> dict[str, Any]:
    """Roll back and say what came of it; raises like `rollback`."""
    return _told(rollback(name, repository))


def _told(result: dict[str, Any]) -> dict[str, Any]:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    line = f"{result['model']}: version {result['version']} serves"
    if "before" in result:
        line += f", before it version {result['before']}"
    golden = result.get("golden")
    if golden:
        line += (
            f"; {golden['texts']} golden requests, {golden['labels_changed']} of "
            f"{golden['labels_compared']} sure labels changed, the slowest took "
            f"{golden['slowest_ms']:.1f} ms"
        )
    if result.get("shadow"):
        line += f"; {told_shadow(result['shadow'])}"
    console.print(f"{line}.", markup=False)
    if not result["service"]:
        console.print(NO_SERVICE, markup=False)
    return result
