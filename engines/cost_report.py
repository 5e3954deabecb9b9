"""The page of `sub50 engines cost`: tables and bars by machine, the prices, what is not known."""

from __future__ import annotations

from pathlib import Path

from engines.bar_chart import Bar, horizontal_bars
from engines.cost_record import CostReport, CostRow
from engines.cost_table import TITLES, Group, amount, columns, groups, percent
from engines.html_report import Banner, Figure, Section, Table, write_page
from engines.tune_choose import BUDGET_MS


def write_cost_page(report: CostReport, path: Path) -> Path:
    """Write the page, whole or not at all; returns `path`.

    Raises:
        EngineError: matplotlib is missing.
        OSError: the page cannot be written.
    """
    sections = [_group_section(report, group) for group in groups(report)]
    sections += [_arithmetic(report), _prices(report), _cards(report)]
    if report.unknown:
        sections.append(Section("What is not known", tuple(_sentence(s) for s in report.unknown)))
    return write_page(path, "What requests cost", _banner(report), sections)


def best_sentences(report: CostReport) -> list[str]:
    """Of every group, the row that costs least, in a sentence."""
    said = []
    for group in groups(report):
        row = group.rows[0]
        if row.per_million_as_planned is None:
            said.append(f"{group.title}: no machine has a price")
            continue
        most = "at most " if row.figure.at_least else ""
        said.append(
            f"{group.title}: {row.model} {row.version} on {row.machine} costs least, {most}"
            f"{amount(row.per_million_as_planned)} {report.currency} for a million requests at "
            f"{percent(report.utilisation)} of its best rate"
        )
    return said


def _banner(report: CostReport) -> Banner:
    text = f"Prices: {report.prices_file}, of {report.prices_of}, in {report.currency}."
    return Banner("neutral", text, tuple(best_sentences(report)))


def _group_section(report: CostReport, group: Group) -> Section:
    shown = columns(report, group)
    table = Table(
        tuple(column.heading for column in shown),
        tuple(tuple(column.cell(row) for column in shown) for row in group.rows),
    )
    # What one thread does, is no measure of a machine.
    figures = () if group.basis == "thread" else tuple(_charts(report, group))
    return Section(group.title, (_meaning(report, group),), (table,), figures)


def _meaning(report: CostReport, group: Group) -> str:
    share = percent(report.load_share)
    if group.basis == "http":
        return (
            "Measured with all of the stack on one machine: the highest rate that "
            "`sub50 loadtest capacity` found with P99 under 50 ms; at least that (≥), where no "
            "more was offered."
        )
    if group.basis == "call":
        return (
            "Texts/s of the engine alone, run as it is served, as `sub50 engines tune` measured "
            f"them in batches whose P99 is under {BUDGET_MS:g} ms. Requests/s are worked out, "
            f"{share} of them, as HTTP and Triton take their share of the same cores: they are not "
            "measured, and promise no P99 of requests."
        )
    return (
        "Texts/s of one thread, as the card's timings have them, whatever the P99. Requests/s are "
        f"worked out, {share} of them. The other cores stand idle meanwhile, so that a machine "
        "with two cores or more does at least so much, and requests cost at most so much. Tune the "
        "engine there for a figure of all cores."
    )


def _charts(report: CostReport, group: Group) -> list[Figure]:
    """Bars of rates, and where there are prices of costs; the best ones stand out."""
    rates = sorted(group.rows, key=lambda row: -row.requests_per_second)
    found = [
        _chart(
            [(row, row.requests_per_second) for row in rates],
            f"requests/s of one machine, {group.texts}",
            "The best rate of one machine; more is better.",
        )
    ]
    costs = [(row, row.per_million_as_planned) for row in group.rows]
    priced = [(row, cost) for row, cost in costs if cost is not None]
    if priced:
        used = percent(report.utilisation)
        found.append(
            _chart(
                priced,
                f"{report.currency} for a million requests, {group.texts}",
                f"At {used} of the best rate, prices of {report.prices_of}; less is better.",
            )
        )
    return found


def _chart(values: list[tuple[CostRow, float]], axis: str, caption: str) -> Figure:
    bars = [
        Bar(
            f"{row.machine or row.figure.hardware.name}: {row.model} {row.version}",
            value,
            ours=place == 0,
        )
        for place, (row, value) in enumerate(values)
    ]
    return Figure(horizontal_bars(bars, axis), caption)


def _arithmetic(report: CostReport) -> Section:
    used = percent(report.utilisation)
    return Section(
        "How it is worked out",
        (
            "A million requests cost the price of an hour / (requests/s x 3,600) x 1,000,000, with "
            f"one machine at that rate all the time; and at {used} of it, which is how much of a "
            "machine is planned for, so that the rest carry on when a third of them is gone.",
            f"Replicas for a wanted rate are that rate / {used} of the best rate, rounded up; as "
            "many at least as keep below their best rate with one gone; two at least. A million "
            "requests then cost what all of them do.",
            "Not in it: load balancers, traffic, disks, monitoring. Load that comes and goes costs "
            "more: divide by the part of the peak that it has on average.",
        ),
    )


def _prices(report: CostReport) -> Section:
    rows = tuple(
        (
            price.machine,
            price.hardware,
            "any" if price.cores is None else str(price.cores),
            amount(price.price_per_hour),
            price.as_of,
            price.source,
            "yes" if price.has_card else "no",
        )
        for price in report.prices
    )
    headings = (
        "machine", "hardware", "cores", f"{report.currency} an hour", "of", "source", "a card",
    )  # fmt: skip
    said = f"From {report.prices_file}. Look up today's, and edit them there."
    return Section("Prices", (said,), (Table(headings, rows),))


def _cards(report: CostReport) -> Section:
    rows = tuple(
        (row.card, TITLES[row.figure.basis], row.figure.measured_at, _hardware(row))
        for row in report.rows
    )
    return Section("Cards", (), (Table(("card", "its figure", "measured", "on"), rows),))


def _hardware(row: CostRow) -> str:
    """All that the card says of what it was measured on."""
    found = row.figure.hardware
    said = [found.processor, "cores not known" if found.cores is None else f"{found.cores} cores"]
    said.append(_gibibytes(found.memory_bytes))
    if found.gpu:
        gpu = found.gpu
        said += [gpu.name, _gibibytes(gpu.memory_bytes)]
        said.append(f"compute capability {gpu.compute_capability or 'not known'}")
        said.append(f"driver {gpu.driver or 'not known'}")
    return ", ".join(said)


def _gibibytes(size: int | None) -> str:
    return "memory not known" if size is None else f"{size / 2**30:.0f} GiB"


def _sentence(line: str) -> str:
    return f"{line[:1].upper()}{line[1:]}."
