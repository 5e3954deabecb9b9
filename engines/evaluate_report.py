"""The page of an evaluation: every figure of the record, with drawings, for one engine or two."""

from __future__ import annotations

from collections.abc import Mapping

from engines import evaluate_plots as plots
from engines.evaluate_findings import NOTHING, PERCENT, SCORE, Line, banner, engines_of, lines
from engines.evaluation_record import (
    Agreement,
    Evaluation,
    EvaluationReport,
    FairnessAxis,
    Quality,
    Robustness,
)
from engines.html_report import Banner, Figure, Section, Table

Engines = Mapping[str, Evaluation]
# Of an axis, at either end.
SHOWN_WORDS = 4


def page(record: EvaluationReport) -> tuple[str, Banner, list[Section]]:
    """Title, banner and sections."""
    engines = engines_of(record)
    return (
        f"Evaluation of {' and '.join(engines)}",
        banner(record),
        [
            _glance(record, engines),
            *(_quality(engines, place) for place in range(len(record.engine.quality))),
            *(_agreement(each, engines) for each in record.agreement),
            *(_robustness(engines, place) for place in range(len(record.engine.robustness))),
            *_fairness(engines),
            _speed(engines),
            _provenance(record, engines),
        ],
    )


def _glance(record: EvaluationReport, engines: Engines) -> Section:
    rows = tuple(line.cells() for line in lines(list(engines.values())))
    paragraphs = (f"Measured at {record.evaluated_at}.",)
    return Section("At a glance", paragraphs, (Table(_headings("", engines), rows),))


def _headings(first: str, engines: Engines) -> tuple[str, ...]:
    return (first, *engines, "difference") if len(engines) > 1 else (first, *engines)


def _quality(engines: Engines, place: int) -> Section:
    found = {name: engine.quality[place] for name, engine in engines.items()}
    first = next(iter(found.values()))
    figures = [
        Figure(
            plots.reliability(
                {name: quality.calibration for name, quality in found.items()},
                f"Reliability on {first.data}",
            ),
            "Scores in 15 bins of equal width: how often they were right, over how sure they "
            "were. Below the dotted line an engine is surer than it is right.",
        )
    ]
    if first.confusion is not None:
        drawn = plots.confusion(
            {name: quality.confusion or [] for name, quality in found.items()},
            [each.label for each in first.labels],
            f"Confusion on {first.data}",
        )
        figures.append(Figure(drawn, "Texts by their true label and the one given."))
    return Section(
        f"Quality on {first.data}",
        tuple(_accuracy_sentence(name, quality) for name, quality in found.items()),
        (_labels_table(found), _lengths_table(found, engines)),
        tuple(figures),
    )


def _accuracy_sentence(name: str, quality: Quality) -> str:
    exact = (
        ""
        if quality.exact_match is None
        else (
            f" Every label of a text is one decision; {100 * quality.exact_match:.1f} % of the "
            "texts have all of them right."
        )
    )
    return (
        f"{name}: {100 * quality.accuracy:.1f} % of {quality.rows:,} right (95 % interval "
        f"{100 * quality.accuracy_low:.1f} to {100 * quality.accuracy_high:.1f}).{exact}"
    )


def _labels_table(found: Mapping[str, Quality]) -> Table:
    headings = ("label", "engine", "texts", "given", "precision", "recall", "F1")
    rows = []
    for index, label in enumerate(next(iter(found.values())).labels):
        for name, quality in found.items():
            each = quality.labels[index]
            first = label.label if name == next(iter(found)) else ""
            counts = (f"{each.rows:,}", f"{each.given:,}")
            shares = (SCORE.shown(v) for v in (each.precision, each.recall, each.f1))
            rows.append((first, name, *counts, *shares))
    if len(found) == 1:
        return Table(headings[:1] + headings[2:], tuple(row[:1] + row[2:] for row in rows))
    return Table(headings, tuple(rows))


def _lengths_table(found: Mapping[str, Quality], engines: Engines) -> Table:
    """Accuracy by length; the second engine's tokenizer may cut texts into other lengths."""
    first = next(iter(found.values()))
    rows = []
    for each in first.by_length:
        bounds = (each.shortest, each.longest)
        values = tuple(
            next((e.accuracy for e in quality.by_length if (e.shortest, e.longest) == bounds), None)
            for quality in found.values()
        )
        name = f"{each.shortest} to {each.longest} tokens ({each.rows:,} texts)"
        rows.append(Line(name, values, PERCENT).cells())
    return Table(_headings("accuracy by length", engines), tuple(rows))


def _agreement(found: Agreement, engines: Engines) -> Section:
    first, second = engines
    said = [f"{found.labels_differ:,} of {found.rows:,} texts get different labels."]
    if found.p_value is not None:
        said.append(
            f"Only {first} is right on {found.only_engine_right}, only {second} on "
            f"{found.only_against_right}. If both were equally good, a difference this large would "
            f"come with probability {found.p_value:.2g} (exact McNemar test)."
        )
    rows = tuple((e.text, e.expected or NOTHING, e.engine, e.against) for e in found.examples)
    table = Table(("text", "true", first, second), rows, _shown(len(rows), found.labels_differ))
    return Section(f"Where they differ on {found.data}", tuple(said), (table,) if rows else ())


def _shown(rows: int, of: int) -> str:
    return "" if rows == of else f"The first {rows} of {of:,}."


def _robustness(engines: Engines, place: int) -> Section:
    found = {name: engine.robustness[place] for name, engine in engines.items()}
    first = next(iter(found.values()))
    drawn = plots.robustness(found, f"Robustness on {first.data}")
    return Section(
        f"Robustness on {first.data}",
        (
            f"{first.texts:,} texts, each changed in several ways; chance is seeded with "
            f"{first.seed}. A text cut in half, or without its capitals, may mean something else "
            "to a reader too.",
        ),
        tuple(_robustness_table(name, each, len(found)) for name, each in found.items()),
        (Figure(drawn, f"How many labels each change flips. {_told(first)}"),),
    )


def _robustness_table(name: str, found: Robustness, engines: int) -> Table:
    rows = []
    if found.accuracy is not None:
        rows.append(("none", NOTHING, PERCENT.shown(found.accuracy), NOTHING, NOTHING))
    rows += [
        (
            each.name,
            PERCENT.shown(each.changed),
            PERCENT.shown(each.accuracy),
            PERCENT.shown(each.labels_flipped),
            SCORE.shown(each.mean_change),
        )
        for each in found.perturbations
    ]
    headings = ("change", "texts it changed", "accuracy", "labels flipped", "mean change of score")
    return Table(headings, tuple(rows), f"{name}." if engines > 1 else "")


def _told(found: Robustness) -> str:
    """What each change is."""
    said = (f"{each.name}: {each.description}" for each in found.perturbations)
    return f"{'; '.join(said)}."


def _fairness(engines: Engines) -> list[Section]:
    first = next(iter(engines.values())).fairness
    rows = tuple(
        Line(
            f"{axis.axis}: {axis.highest} over {axis.lowest}",
            tuple(engine.fairness.axes[place].gap for engine in engines.values()),
            SCORE,
        ).cells()
        for place, axis in enumerate(first.axes)
    )
    overview = Section(
        "Fairness",
        (
            "The same sentences about every group: nothing changes but who is spoken of. The gap "
            "is the largest difference of two groups' mean scores; the target is "
            f"{first.target:g}. Intervals are of 95 %, over resampled sentences. "
            "Whether groups differ, or single words in them, random groupings of the words tell.",
        ),
        (Table(_headings("axis, and the groups furthest apart", engines), rows),),
    )
    places = range(len(first.axes))
    return [overview, *(_axis_section(engines, place) for place in places)]


def _axis_section(engines: Engines, place: int) -> Section:
    axes = {name: engine.fairness.axes[place] for name, engine in engines.items()}
    first = next(iter(axes.values()))
    target = next(iter(engines.values())).fairness.target
    drawn = plots.fairness(axes, target, f"Fairness, {first.axis}")
    return Section(
        f"Fairness: {first.axis}",
        tuple(_axis_sentence(name, axis) for name, axis in axes.items()),
        (_templates_table(first),),
        (Figure(drawn, "Mean score of each group less that of all, with its interval."),),
    )


def _axis_sentence(name: str, axis: FairnessAxis) -> str:
    words = [f"{word} {score:.3f}" for word, score in axis.words.items()]
    wordings = ", ".join(f"{wording} {gap:+.3f}" for wording, gap in axis.gap_by_wording.items())
    return (
        f"{name}: {axis.highest} over {axis.lowest} by {axis.gap:.3f} ({axis.gap_low:.3f} to "
        f"{axis.gap_high:.3f}) in the score of {axis.label}, over {axis.templates} sentences and "
        f"{axis.texts:,} texts. By wording: {wordings}. One in twenty random groupings of the same "
        f"words has a gap over {axis.chance_gap:.3f}; {100 * axis.chance_p:.1f} % reach this one. "
        f"Highest words: {', '.join(words[:SHOWN_WORDS])}; lowest: "
        f"{', '.join(words[-SHOWN_WORDS:])}."
    )


def _templates_table(axis: FairnessAxis) -> Table:
    rows = tuple((each.template, each.wording, f"{each.gap:+.3f}") for each in axis.furthest)
    caption = f"Sentences that set {axis.highest} and {axis.lowest} furthest apart."
    return Table(("sentence", "wording", "gap"), rows, caption)


def _speed(engines: Engines) -> Section:
    headings = ("engine", "texts in a call", "calls", "P50, ms", "P99, ms", "texts/s")
    rows = tuple(
        (
            name, str(each.batch), f"{each.calls:,}", f"{each.p50_ms:.1f}", f"{each.p99_ms:.1f}",
            f"{each.texts_per_second:,.0f}",
        )
        for name, engine in engines.items()
        for each in engine.speed.calls
    )  # fmt: skip
    calls = {name: engine.speed.calls for name, engine in engines.items()}
    paragraphs = [_run_sentence(name, engine) for name, engine in engines.items()]
    turns = " Both took turns." if len(engines) > 1 else ""
    paragraphs.append(
        "The engine alone, in process: no HTTP, no Triton. Other work on the machine shows in "
        f"P99.{turns}"
    )
    cost = next(iter(engines.values())).speed.cost
    if cost is not None:
        paragraphs.append(
            f"A million requests of one text, at {cost.price_per_hour:g} {cost.currency} an hour "
            f"and {100 * cost.load_share:.0f} % of the most texts/s above: the service takes its "
            "share of the same cores, and a machine is not run at its limit."
        )
    figure = Figure(
        plots.latency(calls, "Latency by texts in a call"), "Calls one after the other."
    )
    return Section("Speed", tuple(paragraphs), (Table(headings, rows),), (figure,))


def _run_sentence(name: str, engine: Evaluation) -> str:
    speed = engine.speed
    instances = f"{speed.instances} instance{'s' if speed.instances > 1 else ''}"
    return (
        f"{name}: {speed.backend} {speed.precision}, {instances} with {speed.threads} "
        f"thread{'s' if speed.threads > 1 else ''} each, texts of "
        f"{', '.join(map(str, speed.tokens))} tokens."
    )


def _provenance(record: EvaluationReport, engines: Engines) -> Section:
    rows = [(name, engine.engine_sha256) for name, engine in engines.items()]
    rows += [(each.data, each.data_sha256) for each in record.engine.quality]
    rows += [(each.data, each.data_sha256) for each in record.engine.values]
    rows += list(record.tools.items())
    machines = {engine.speed.machine: name for name, engine in engines.items()}
    paragraphs = tuple(
        f"Machine{f' of {name}' if len(machines) > 1 else ''}: {machine}."
        for machine, name in machines.items()
    )
    return Section(
        "What was measured with", paragraphs, (Table(("", "SHA-256 or version"), tuple(rows)),)
    )
