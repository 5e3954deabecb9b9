"""What raters said of summaries, for a terminal and as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import rich.table

from engines.agreement import RELIABLE, TENTATIVE
from engines.bar_chart import Bar, horizontal_bars
from engines.html_report import Banner, Figure, Section, Table
from engines.rubric import CRITERIA, HIGHEST, LOWEST
from engines.summarizer_report import with_interval

NOTHING = "–"


def rubric_banner(result: Mapping[str, Any]) -> Banner:
    """What may be concluded, and why not more."""
    reasons = [said_of_agreement(each, result["agreement"][each]) for each in CRITERIA]
    reasons += _said_of_differences(result)
    missing = len(result["missing"])
    if missing:
        reasons.append(f"not filled in: {missing} field{'s' if missing != 1 else ''}, listed below")
    alphas = [result["agreement"][each]["alpha"] for each in CRITERIA]
    reliable = all(alpha is not None and alpha >= TENTATIVE for alpha in alphas)
    text = (
        "Raters agree well enough to conclude from their ratings"
        if reliable
        else "Raters do not agree well enough on every criterion: conclude with care"
    )
    return Banner("neutral", text, tuple(reasons))


def said_of_agreement(criterion: str, agreement: Mapping[str, Any]) -> str:
    """How far raters agree on one criterion, and what that allows, in a sentence."""
    alpha = agreement["alpha"]
    if alpha is None:
        return f"{criterion}: agreement has no value, as {agreement['why_none']}"
    allows = "nothing should be concluded from the ratings"
    if alpha >= RELIABLE:
        allows = "enough to conclude from"
    elif alpha >= TENTATIVE:
        allows = "enough for tentative conclusions"
    return f"{criterion}: alpha {alpha:.2f}, {allows}"


def _said_of_differences(result: Mapping[str, Any]) -> list[str]:
    if result["differences"] is None:
        return []
    first, second = (engine["name"] for engine in result["engines"])
    said = []
    for criterion, found in result["differences"].items():
        if found["interval"] is None:
            continue
        low, high = found["interval"]
        better, worse = (first, second) if found["mean"] > 0 else (second, first)
        figure = f"{criterion}: {better} is {abs(found['mean']):.2f} above {worse}"
        range_ = f"{low:+.2f} to {high:+.2f} for {first}"
        doubt = ", which may be chance" if low <= 0 <= high else ""
        said.append(f"{figure} ({range_}){doubt}")
    return said


def rubric_sections(result: Mapping[str, Any]) -> list[Section]:
    """Scores with bars, agreement and raters, what is missing, and all comments."""
    scored = Section(
        "Scores",
        (
            f"{result['documents']} documents of {result['data']}, summaries of "
            f"{result['length']}, rated {LOWEST} to {HIGHEST} by {len(result['raters'])} "
            "raters who did not know whose summary they saw.",
        ),
        (_scores(result),),
        tuple(_bars(result, criterion) for criterion in CRITERIA),
    )
    agreement = Section("Agreement", (), (_agreement(result), _raters(result)))
    sections = [scored, agreement]
    if result["missing"]:
        sections.append(Section("Not filled in", (), (_missing(result["missing"]),)))
    if result["comments"]:
        sections.append(Section("Comments", (), (_comments(result["comments"]),)))
    return sections


def _scores(result: Mapping[str, Any]) -> Table:
    rows = [
        (name, *(_figure(scores[each]) for each in CRITERIA))
        for name, scores in result["scores"].items()
    ]
    if result["differences"]:
        first, second = (engine["name"] for engine in result["engines"])
        differences = (_figure(result["differences"][each], "+") for each in CRITERIA)
        rows.append((f"{first} less {second}", *differences))
    return Table(
        ("engine", *CRITERIA),
        tuple(rows),
        "Means over documents of the raters' mean, with 95 % intervals over documents. A "
        "difference whose interval holds 0 may be chance.",
    )


def _figure(score: Mapping[str, Any], sign: str = "") -> str:
    if score["mean"] is None:
        return NOTHING
    return with_interval(score["mean"], score["interval"], 2, sign)


def _bars(result: Mapping[str, Any], criterion: str) -> Figure:
    bars = [
        Bar(name, scores[criterion]["mean"], scores[criterion]["interval"], number == 0)
        for number, (name, scores) in enumerate(result["scores"].items())
        if scores[criterion]["mean"] is not None
    ]
    drawing = horizontal_bars(bars, f"{criterion}, {LOWEST} to {HIGHEST}", (LOWEST, HIGHEST))
    return Figure(drawing, "")


def _agreement(result: Mapping[str, Any]) -> Table:
    rows = tuple(
        (
            criterion,
            _figure({"mean": found["alpha"], "interval": found["interval"]}),
            str(found["items_rated_twice"]),
        )
        for criterion, found in result["agreement"].items()
    )
    return Table(
        ("criterion", "Krippendorff's alpha", "summaries rated by several"),
        rows,
        f"1 is perfect agreement, 0 chance; ordinal, with 95 % intervals over summaries. From "
        f"{RELIABLE} conclusions may be drawn, from {TENTATIVE} tentative ones.",
    )


def _raters(result: Mapping[str, Any]) -> Table:
    rows = tuple(
        (
            rater["name"],
            str(rater["ratings"]),
            *(_figure({"mean": rater["means"][each], "interval": None}) for each in CRITERIA),
        )
        for rater in result["raters"]
    )
    return Table(("rater", "ratings", *CRITERIA), rows, "Each rater's means: who is strict.")


def _missing(missing: Sequence[Mapping[str, Any]]) -> Table:
    rows = tuple(
        (field["file"], str(field["row"] or "no row"), field["item"], field["column"])
        for field in missing
    )
    return Table(("file", "row", "item", "column"), rows)


def _comments(comments: Sequence[Mapping[str, Any]]) -> Table:
    rows = tuple(
        (each["rater"], each["item"], ", ".join(each["engines"]), each["document"], each["comment"])
        for each in comments
    )
    return Table(("rater", "item", "engine", "document", "comment"), rows)


def rubric_table(result: Mapping[str, Any]) -> rich.table.Table:
    """Scores and agreement for a terminal."""
    found = _scores(result)
    title = f"Ratings of {len(result['raters'])} raters, {result['documents']} documents"
    table = rich.table.Table(*found.headings, title=title, title_justify="left")
    for row in found.rows:
        table.add_row(*row)
    table.add_section()
    table.add_row("alpha", *(row[1] for row in _agreement(result).rows))
    return table
