"""A profile as a page for people."""

from __future__ import annotations

from engines.html_report import Banner, Figure, Section, Table
from engines.profile_record import GpuTimes, Profile, Profiling, Total
from engines.profile_table import (
    MOST_OPERATORS,
    NOTHING,
    OPERATOR_HEADINGS,
    advised,
    headline,
    part_rows,
    plural,
    shortened,
    total_row,
)
from engines.timeline import milliseconds, timeline


def banner(profile: Profile) -> Banner:
    """What a call or step takes, and what to try."""
    return Banner("neutral", headline(profile), tuple(advised(profile)) or (NOTHING,))


def sections(profiling: Profiling) -> list[Section]:
    """The whole page."""
    profile = profiling.profile
    found = [_parts(profile), _timeline(profiling), _operators(profile)]
    if profile.nodes:
        found.append(_nodes(profile))
    if profile.gpu:
        found.append(_gpu(profile.gpu))
    return [*found, _advice(profile), _how(profile)]


def _parts(profile: Profile) -> Section:
    plain, profiled = (milliseconds(ms * 1e3) for ms in (profile.plain_ms, profile.profiled_ms))
    change = f"{100 * abs(profile.profiler_cost):.0f} % "
    change += "longer" if profile.profiler_cost >= 0 else "shorter"
    said = f"A {profile.what} takes {plain}, and with the profiler {profiled}: {change}."
    return Section(
        "Where the time goes",
        (said,),
        (
            Table(("without the profiler", "ms", "share"), part_rows(profile.parts)),
            Table((f"the {profile.what} with it", "ms", "share"), part_rows(profile.inside)),
        ),
    )


def _timeline(profiling: Profiling) -> Section:
    profile = profiling.profile
    what = "call" if profile.what == "call" else "step"
    caption = f"The {what} that a quarter of them are faster than: "
    caption += f"{milliseconds(profiling.shown.length_us)}. "
    caption += (
        "Where nothing is drawn, no operator ran."
        if profiling.placed
        else "Operators stand one after the other, because when they ran is not known."
    )
    drawing = timeline(profiling.shown, f"Timeline of one {what} of {profile.title}")
    return Section(f"One {what}", figures=(Figure(drawing, caption),))


def _operators(profile: Profile) -> Section:
    left = len(profile.operators) - MOST_OPERATORS
    rest = f" {plural(left, 'type')} with less are left out." if left > 0 else ""
    return Section(
        "By operator",
        tables=(
            Table(
                OPERATOR_HEADINGS,
                tuple(total_row(total, profile) for total in profile.operators[:MOST_OPERATORS]),
                f"Means of a {profile.what}; share: of it with the profiler, and of it without."
                f"{rest}",
            ),
        ),
    )


def _nodes(profile: Profile) -> Section:
    rows = tuple(total_row(total, profile) for total in profile.nodes)
    headings = ("node", "operator", *OPERATOR_HEADINGS[2:])
    return Section("By node", tables=(Table(headings, rows, "The longest nodes of the graph."),))


def _gpu(gpu: GpuTimes) -> Section:
    parts = (
        ("kernels", gpu.kernels_ms),
        ("copies beside no kernel", gpu.copies_ms),
        ("idle", gpu.idle_ms),
    )
    tables = [
        Table(("", "ms"), tuple((name, f"{ms:.3f}") for name, ms in parts)),
        Table(
            ("kernel", "times", "ms", "share", "mean µs"),
            tuple(_kernel_row(total) for total in gpu.by_kernel[:MOST_OPERATORS]),
        ),
    ]
    if gpu.by_operator:
        tables.append(
            Table(
                ("launched by", "times", "ms", "share", "mean µs"),
                tuple(_kernel_row(total) for total in gpu.by_operator[:MOST_OPERATORS]),
            )
        )
    gap_rows = tuple(
        (shortened(gap.after), shortened(gap.before), f"{gap.calls:.1f}", f"{gap.ms:.3f}")
        for gap in gpu.longest_gaps
    )
    caption = f"{gpu.gaps:.1f} gaps, {gpu.gaps_ms:.3f} ms in all; the longest of them."
    tables.append(Table(("gap after", "before", "times", "ms"), gap_rows, caption))
    said = (
        "What the GPU ran. Operators above are what the processor took to launch them. Reading "
        "these events was tested on traces in the documented form, and never on a GPU."
    )
    return Section("On the GPU", (said,), tuple(tables))


def _advice(profile: Profile) -> Section:
    said = tuple(
        f"{each.rule[0].upper()}{each.rule[1:]}: {each.found} (said {each.threshold}). "
        f"{each.advice}"
        for each in profile.advice
    )
    return Section("What to try", said or (NOTHING,))


def _how(profile: Profile) -> Section:
    what = "calls" if profile.what == "call" else "steps"
    said = [
        f"{profile.rounds} {what} count. Texts: {profile.source}. "
        f"{100 * profile.padding_share:.0f} % of the tokens that were run is padding.",
        f"Machine: {profile.machine}.",
    ]
    if profile.runs_per_call and profile.runs_per_call > 1:
        said.append(
            f"A call is cut into {profile.runs_per_call:.1f} runs in the mean, as the server's "
            "backends cut it where it has too many tokens for one."
        )
    if profile.busy_threads is not None:
        said.append(f"{profile.busy_threads:.2f} cores were busy in the mean.")
    return Section("How it was measured", (*said, *profile.notes))


def _kernel_row(total: Total) -> tuple[str, ...]:
    row = (f"{total.calls:.1f}", f"{total.ms:.3f}", f"{100 * total.share:.1f} %")
    return (shortened(total.name), *row, f"{total.mean_us:.1f}")
