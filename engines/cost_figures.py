"""Reads cards, and the throughput that each has: of a load test, its tuning, or its timings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from core.card import CARD_FILE, Capacity, EngineCard, Hardware, Tuning, read_card
from core.versions import what_is_wrong
from engines.cost_record import Figure
from engines.errors import EngineError
from engines.evaluated_engine import as_served
from engines.hardware import processor_of
from engines.runtimes import Candidate
from engines.tune_choose import BUDGET_MS, best_point
from engines.tune_measure import Measurement, Point

# A version folder, a model's, a repository, a folder of repositories: one of each machine.
DEEPEST = 3
POINTS = TypeAdapter(list[Point])


def cards_in(folder: Path) -> tuple[dict[Path, EngineCard], list[str]]:
    """The cards in a folder and in those up to three levels below, by their files.

    Returns them, and a line on each that cannot be read.
    """
    cards: dict[Path, EngineCard] = {}
    unread: list[str] = []
    for depth in range(DEEPEST + 1):
        for path in sorted(folder.glob("*/" * depth + CARD_FILE)):
            if any(part.startswith(".") for part in path.relative_to(folder).parts):
                continue
            try:
                cards[path] = read_card(path.parent)
            except (OSError, ValidationError) as error:
                unread.append(f"{path} is left out, it is no card: {what_is_wrong(error)}")
    return cards, unread


def read_all(repository: Path, others: Sequence[Path]) -> tuple[dict[Path, EngineCard], list[str]]:
    """The cards of a repository and of further folders, each file once.

    Raises:
        EngineError: a folder that was named has no card, or there is none at all.
    """
    cards, unread = cards_in(repository)
    for folder in others:
        if not folder.is_dir():
            raise EngineError(f"--cards {folder}: there is no such folder")
        found, faults = cards_in(folder)
        if not found and not faults:
            raise EngineError(
                f"--cards {folder}: there is no {CARD_FILE} in it, nor {DEEPEST} levels below"
            )
        cards |= found
        unread += faults
    once = {path.resolve(): (path, card) for path, card in reversed(cards.items())}
    if not once:
        raise EngineError(
            f"no card in {repository}; build engines with `sub50 engines build`, or name folders "
            "with cards of other machines by --cards"
        )
    return dict(sorted(once.values())), list(dict.fromkeys(unread))


def figures_of(card: EngineCard) -> tuple[list[Figure], list[str]]:
    """The throughput that a card has, and in a line each what it lacks."""
    over_http = [_of_load_test(capacity) for capacity in card.capacities]
    found, lacking = _of_tuning(card)
    if found or over_http:
        return over_http + found, [] if over_http else lacking
    if not card.timings:
        return [], [*lacking, "it has no timings either, so that nothing is known of its speed"]
    best = max(card.timings, key=lambda timing: timing.texts_per_second)
    figure = Figure(
        basis="thread",
        texts=f"{best.tokens} tokens",
        way=f"{best.threads} thread{'s' if best.threads > 1 else ''}, batches of {best.batch}",
        per_second=best.texts_per_second,
        p99_ms=best.p99_ms,
        at_least=True,
        measured_at=card.built_at,
        hardware=card.hardware or Hardware(processor=processor_of(card.machine)),
    )
    return [figure], [*lacking, "what one thread did is taken instead"]


def _of_load_test(capacity: Capacity) -> Figure:
    # By the service, that is: the load test's generator, or its highest rate, was reached first.
    unlimited = capacity.limited_by != "service"
    return Figure(
        basis="http",
        texts=f"{capacity.texts} to {' and '.join(capacity.models)}",
        way=capacity.way + ("; no more was offered" if unlimited else ""),
        per_second=capacity.requests_per_second,
        p99_ms=capacity.p99_ms,
        at_least=unlimited,
        measured_at=capacity.noted_at,
        hardware=capacity.hardware,
    )


def _of_tuning(card: EngineCard) -> tuple[list[Figure], list[str]]:
    tuning = card.tuning
    if tuning is None:
        return [], [
            f"it was not tuned, so that what all cores do is not known: `sub50 engines tune "
            f"{card.name}` on the machine that it is to run on, or a load test there with "
            "`sub50 engines note-capacity`"
        ]
    way = as_served(card)
    try:
        measured = _measurement(tuning, way)
    except ValidationError as error:
        return [], [f"its tuning cannot be read: {what_is_wrong(error)}; tune it again"]
    if measured is None:
        return [], [f"its tuning has no figures of {way.label}, as it is run; tune it again"]
    point = best_point(measured)
    if point is None:
        return [], [f"no batch of {way.label} keeps the P99 of a call under {BUDGET_MS:g} ms"]
    figure = Figure(
        basis="call",
        texts=f"{tuning.lengths} (tokens:weight)" if tuning.lengths else "lengths not recorded",
        way=f"{way.label}, batches of {point.batch}",
        per_second=point.texts_per_second,
        p99_ms=point.p99_ms,
        at_least=False,
        measured_at=tuning.tuned_at,
        hardware=tuning.hardware or Hardware(processor=processor_of(tuning.machine)),
    )
    return [figure], []


def _measurement(tuning: Tuning, way: Candidate) -> Measurement | None:
    """What tuning measured of one way to run the engine.

    Raises:
        pydantic.ValidationError: its points are none.
    """
    for candidate in tuning.candidates:
        if all(candidate.get(key, value) == value for key, value in way.as_dict().items()):
            return Measurement(way, POINTS.validate_python(candidate.get("points")))
    return None
