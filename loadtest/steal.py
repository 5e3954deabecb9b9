"""What a virtual machine's processors lost to its neighbours during a run.

Linux counts as steal the time in which a virtual processor had work and the host ran something
else. To a load test that is a late answer like any other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

STAT = Path("/proc/stat")
# user, nice, system, idle, iowait, irq, softirq, steal; what guests took is within user and nice.
KINDS = 8
STEAL = 7
# From here on it is worth a line: a hundredth is what the promise leaves to everything together.
WORTH_TELLING = 0.01


@dataclass(frozen=True, slots=True)
class Steal:
    """Counts from when it is made. `stat` is the file that the kernel counts in."""

    stat: Path = STAT
    begun: tuple[int, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "begun", processor_times(self.stat))

    def share(self) -> float | None:
        """The part of all processors' time, idle or not, that was stolen since it was made.

        None where the system does not tell, or no time has passed.
        """
        now = processor_times(self.stat)
        spent = [after - before for before, after in zip(self.begun, now, strict=False)]
        return spent[STEAL] / sum(spent) if sum(spent) > 0 else None

    def shown(self) -> str:
        """The share for a table: "1.3 %"; a dash where the system does not tell."""
        return _shown(self.share())

    def warning(self) -> str | None:
        """A line where it was enough to make requests late; None where it was not."""
        share = self.share()
        if share is None or share < WORTH_TELLING:
            return None
        return (
            f"{_shown(share)} of this machine's processor time went to its neighbours meanwhile "
            "(steal): some of what was late or refused is their doing"
        )


def _shown(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def processor_times(stat: Path) -> tuple[int, ...]:
    """Time of all processors by kind, in ticks since the system's start; empty where not told."""
    try:
        name, *times = stat.read_text(encoding="ascii").partition("\n")[0].split()
        return tuple(map(int, times[:KINDS])) if name == "cpu" and len(times) >= KINDS else ()
    except (OSError, ValueError):
        return ()
