"""What came of a soak: `soak.json` with every figure, `soak.svg` to look at, and a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from chaos.soak.footprint import Footprint
from chaos.soak.judge import Findings
from loadtest.kinds import BULK_KINDS
from loadtest.percentiles import percentile
from loadtest.records import OK, Records

JSON_FILE = "soak.json"
PLOT_FILE = "soak.svg"
MEGABYTE = 1e6
PANELS = 3
MINUTE_SECONDS = 60.0


def minutes_of(records: Records) -> list[dict[str, float]]:
    """P50 and P99 in ms of answered interactive requests, and requests, minute by minute."""
    counted = records.where(~records.is_kind(BULK_KINDS) & (records.outcome == OK))
    minute = counted.scheduled_us // round(1e6 * MINUTE_SECONDS)
    found = []
    for number in np.unique(minute).tolist():
        own_ms = counted.latency_us[minute == number] / 1e3
        found.append(
            {
                "minute": number,
                "answered": int(own_ms.size),
                "p50_ms": percentile(own_ms, 50),
                "p99_ms": percentile(own_ms, 99),
            }
        )
    return found


def write_soak(
    folder: Path, looks: Sequence[Footprint], records: Records, found: Findings, command: str
) -> None:
    """Write both files into `folder`."""
    minutes = minutes_of(records)
    content = {
        "command": command,
        "held": found.held,
        "findings": asdict(found),
        "minutes": minutes,
        "looks": [asdict(look) for look in looks],
    }
    (folder / JSON_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    _plot(folder / PLOT_FILE, looks, minutes)


def _plot(path: Path, looks: Sequence[Footprint], minutes: Sequence[dict[str, float]]) -> None:
    # Imported here, because matplotlib takes a second that judging need not wait for.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from loadtest.charts import BLUE, GREEN, GREY, ORANGE, STYLE, WIDTH_INCHES

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 7), layout="constrained")
        latency, memory, counts = figure.subplots(PANELS, 1, sharex=True)
        when = [look.seconds / MINUTE_SECONDS for look in looks]
        middles = [each["minute"] + 0.5 for each in minutes]
        latency.set_title("Latency of answered interactive requests, ms, by minute")
        for name, color in (("p99_ms", BLUE), ("p50_ms", GREEN)):
            latency.plot(middles, [each[name] for each in minutes], color=color, label=name[:3])
        memory.set_title("Memory (PSS without files), MB")
        for kind, color in zip(looks[-1].memory_bytes, (BLUE, ORANGE, GREEN, GREY), strict=False):
            held = [look.memory_bytes.get(kind, 0) / MEGABYTE for look in looks]
            memory.plot(when, held, color=color, label=kind)
        counts.set_title("Descriptors, threads, shared memory in MB")
        counts.plot(when, [look.descriptors for look in looks], color=BLUE, label="descriptors")
        counts.plot(when, [look.threads for look in looks], color=ORANGE, label="threads")
        shared = [look.shared_bytes / MEGABYTE for look in looks]
        counts.plot(when, shared, color=GREY, label="shared memory")
        counts.set_xlabel("minutes")
        for axes in (latency, memory, counts):
            axes.set_ylim(bottom=0)
            axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderaxespad=0)
        figure.savefig(path, metadata={"Date": None})


def lines_of(found: Findings) -> list[tuple[str, str]]:
    """The findings as rows of a table: what, and how much."""
    growth = found.memory_growth
    shared_mb = [value / MEGABYTE for value in found.shared_bytes]
    kinds = ", ".join(f"{kind} {100 * growth[kind]:+.1f} %" for kind in growth if kind != "total")
    return [
        ("requests", f"{found.requests:,}"),
        ("answered", f"{found.answered:,}"),
        ("refused", f"{found.refused:,}"),
        ("given up (504)", f"{found.timeouts:,}"),
        ("failed", f"{found.failed:,}"),
        ("memory, last three quarters", f"{100 * growth['total']:+.1f} % ({kinds})"),
        ("descriptors", "{:g} → {:g}".format(*found.descriptors)),
        ("threads", "{:g} → {:g}".format(*found.threads)),
        (
            "shared memory, MB",
            "{:.1f} → {:.1f}".format(*shared_mb),
        ),
        ("P99 by quarter, ms", ", ".join(f"{p99:.1f}" for p99 in found.p99_ms)),
        ("verdict", "holds" if found.held else "; ".join(found.faults)),
    ]


def markdown(found: Findings) -> str:
    """The same for RELIABILITY.md."""
    rows = [f"| {name} | {value} |" for name, value in lines_of(found)]
    return "\n".join(["| | |", "|---|---|", *rows])
