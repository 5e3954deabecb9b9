"""`--shadow 10m`: how long that is, and what people see while it lasts. On standard error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from core.control import MOST_SHADOW_SECONDS
from engines.errors import PromotionError
from engines.promote import Shadow

SECONDS_PER_UNIT = {"s": 1, "m": 60, "h": 3600}


def seconds_of(text: str) -> float:
    """Seconds of a length of time such as `90s`, `10m` or `1.5h`.

    Raises:
        PromotionError: it is none, or longer than a day.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    seconds = float(found[1]) * SECONDS_PER_UNIT[found[2]] if found else 0.0
    if not 0 < seconds <= MOST_SHADOW_SECONDS:
        raise PromotionError(
            f"--shadow {text}: say how long, as 90s, 10m or 1h, at most "
            f"{MOST_SHADOW_SECONDS / 3600:g}h"
        )
    return seconds


@contextmanager
def shown_shadow(length: str, share: float) -> Iterator[Shadow]:
    """What `--shadow` and `--shadow-share` ask for, with a bar for as long as the block runs.

    Raises:
        PromotionError: an option is out of its range; names it.
    """
    seconds = seconds_of(length)
    if not 0 < share <= 1:
        raise PromotionError(f"--shadow-share {share:g}: has to be over 0 and at most 1")
    console = Console(stderr=True, highlight=False)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("loading it beside", total=seconds, figures="")

        def on_progress(told: dict[str, Any]) -> None:
            figures = (
                f"{told['copies']} copies compared, {told['dropped']} dropped, "
                f"{told['labels_changed']} of {told['labels_compared']} sure labels differ"
            )
            progress.update(
                task,
                completed=seconds - told["seconds_left"],
                description="in the shadow",
                figures=figures,
            )

        yield Shadow(seconds, share, on_progress)


def told_shadow(found: dict[str, Any]) -> str:
    """What shadowing found, as the end of a line."""
    return (
        f"on {found['copies']} copies of live requests {found['labels_changed']} of "
        f"{found['labels_compared']} sure labels changed, P99 {found['candidate_p99_ms']:.1f} ms "
        f"(before {found['served_p99_ms']:.1f} ms)"
    )
