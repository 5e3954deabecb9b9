"""What was measured of summaries as sections of a page: tables, bars, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engines.bar_chart import Bar, horizontal_bars
from engines.html_report import Figure, Section, Table

SHOWN_MEASURES = (("rouge1", "ROUGE-1"), ("rouge2", "ROUGE-2"), ("rougeL", "ROUGE-L"))
MARKED_HEADINGS = (
    "passages touched",
    "mean over documents",
    "half of the passage",
    "without expiration dates",
)
LENGTH_HEADINGS = ("words taken", "words a summary")


def summarizer_sections(record: Mapping[str, Any]) -> list[Section]:
    """A section for marked passages and one for ROUGE, of what `evaluate_summarizer` returned."""
    names = {str(engine["name"]) for engine in record["engines"]}
    sections = []
    if record["marked"]:
        sections.append(_marked(record["marked"], names))
    if record["rouge"]:
        sections.append(_rouge(record["rouge"], names))
    return sections


def _marked(found: Mapping[str, Any], engines: set[str]) -> Section:
    rankings, share = found["rankings"], f"{100 * found['sentence_share']:g} %"
    bars = [Bar(n, e["share"], e["share_interval"], n in engines) for n, e in rankings.items()]
    drawing = horizontal_bars(bars, f"share of marked passages touched, {share} of the sentences")
    caption = "The line through a bar's end is its 95 % interval over documents."
    return Section(
        "Marked passages kept",
        (
            f"{found['data']}: {found['documents']} documents with {found['passages']} marked "
            "passages that count.",
            said_of_marked(rankings),
        ),
        (_marked_table(rankings, share),),
        (Figure(drawing, caption),),
    )


def _marked_table(rankings: Mapping[str, Any], share: str) -> Table:
    rows = tuple(
        (
            name,
            with_interval(each["share"], each["share_interval"]),
            f"{each['mean_share']:.3f}",
            f"{each['half_share']:.3f}",
            f"{each['share_without_expiration_dates']:.3f}",
            with_interval(each["share_at_equal_words"], each["share_at_equal_words_interval"]),
            f"{each['word_share']:.3f}",
            f"{each['mean_words']:.0f}",
        )
        for name, each in rankings.items()
    )
    return Table(
        ("ranking", *MARKED_HEADINGS, f"at {share} of the words", *LENGTH_HEADINGS),
        rows,
        f"Shares, with 95 % intervals over documents. Summaries have {share} of the sentences; in "
        f"one column, {share} of the words. Half: a chosen sentence and the passage share half "
        "of the shorter one.",
    )


def said_of_marked(rankings: Mapping[str, Any]) -> str:
    """The first ranking against the best of the others, in a sentence."""
    first, *others = rankings
    next_best = max(others, key=lambda name: float(rankings[name]["share"]))
    mine, other = rankings[first], rankings[next_best]
    low_high = _between(other["lead_interval"])
    return (
        f"{first} touches {100 * mine['share']:.1f} % of the passages; the best of the others, "
        f"{next_best}, {100 * other['share']:.1f} %: a difference of "
        f"{100 * other['lead']:+.1f} points{low_high}."
    )


def _between(interval: Sequence[float] | None) -> str:
    if interval is None:
        return ""
    low, high = interval
    return f" (95 %: {100 * low:+.1f} to {100 * high:+.1f})"


def _rouge(found: Mapping[str, Any], engines: set[str]) -> Section:
    rankings = found["rankings"]
    first = next(iter(rankings))
    rows = tuple(
        (
            name,
            *(_points(each[key], each[f"{key}_interval"]) for key, _ in SHOWN_MEASURES),
            _lead(each["lead"], name == first),
            f"{each['mean_words']:.1f}",
        )
        for name, each in rankings.items()
    )
    headings = ("ranking", *(shown for _, shown in SHOWN_MEASURES))
    table = Table(
        (*headings, f"lead of {first}, ROUGE-1", "words a summary"),
        rows,
        "Mean F1 in points, stemmed, with 95 % intervals over documents. A lead whose interval "
        "holds 0 may be chance.",
    )
    bars = [
        Bar(n, 100 * e["rouge1"], _scaled(e["rouge1_interval"]), n in engines)
        for n, e in rankings.items()
    ]
    plural = "s" if found["sentences"] != 1 else ""
    return Section(
        "ROUGE",
        (
            f"{found['data']}: {found['documents']} documents, summaries of "
            f"{found['sentences']} sentence{plural} against those that people wrote.",
        ),
        (table,),
        (Figure(horizontal_bars(bars, "ROUGE-1 F1, points"), "With 95 % intervals."),),
    )


def _lead(lead: Mapping[str, Any], itself: bool) -> str:
    return "–" if itself else _points(lead["rouge1"], lead["rouge1_interval"], sign="+")


def with_interval(
    value: float, interval: Sequence[float] | None, digits: int = 3, sign: str = ""
) -> str:
    """A figure, and its interval behind it where there is one, in one line each."""
    shown = f"{sign}.{digits}f"
    if interval is None:
        return f"{value:{shown}}"
    low, high = interval
    return f"{value:{shown}} ({low:{shown}}\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}{high:{shown}})"


def _points(value: float, interval: Sequence[float] | None, sign: str = "") -> str:
    return with_interval(100 * value, _scaled(interval), 1, sign)


def _scaled(interval: Sequence[float] | None) -> tuple[float, float] | None:
    return None if interval is None else (100 * interval[0], 100 * interval[1])
