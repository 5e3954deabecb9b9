"""Golden requests: a dozen texts that two versions of a model answer before one takes over.

The new version's answers have to be finite, of the right shape, and in time, or no later than those
of the served one, which is asked in turn with it: a busy machine makes both late. Its labels have
to be those of the served one, where that one is sure: a label that hangs in the balance may fall to
either side, of two equally good engines too. How many of the sure ones may differ follows from the
cards: the share of labels that quantization changed in both engines, rounded up.
"""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from core.card import EngineCard
from service.aside import ask_aside
from service.errors import PromotionError, RequestError
from service.models import ServedModel
from service.scheduler import Scheduler
from service.sure_labels import changed_labels

Floats = npt.NDArray[np.float32]

SHORT = (
    "Good.",
    "A wonderful film, and not a minute too long.",
    "The service was slow, the food was cold, and nobody said a word about it.",
    "Shares fell after the bank cut its profit forecast for the second time this year.",
    "The striker scored twice as the home team won the cup final.",
    "This Agreement shall be governed by the laws of the State of New York.",
    "The ministers met in Geneva on Monday to talk about a cease-fire.",
    "Researchers have found a way to store data in glass for ten thousand years.",
    "Either party may terminate this Agreement upon thirty days' written notice.",
    "I would not recommend this to anyone; it broke on the second day.",
)
# About 60 and 130 tokens: the lengths that a request of one text may well have.
GOLDEN_TEXTS = (*SHORT, " ".join(SHORT[1:5]), " ".join(SHORT))
# The best of so many: one slow call on a busy machine says nothing of the engine.
TRIES = 3
CALL_SECONDS = 5.0
# Live requests go first, and never two calls on end: less than a tenth of two cores.
PAUSE_SECONDS = 0.02
# A machine that is busy makes both versions late: only one that is slower by more than noise is
# held to the budget.
SLOWER_FACTOR = 1.5
# Two engines' times are compared on few calls: no more is believed.
LARGEST_FACTOR = 5.0


@dataclass(frozen=True)
class Golden:
    """What the comparison found. `cost_factor`: the new version's time over the old one's."""

    texts: int
    labels_compared: int
    labels_changed: int
    labels_allowed: int
    slowest_ms: float
    cost_factor: float = field(default=1.0)


async def compare(
    served: ServedModel,
    candidate: ServedModel,
    scheduler: Scheduler,
    *,
    budget_ms: float,
    same_labels: bool = True,
) -> Golden:
    """Ask both versions the golden texts and judge the candidate.

    Args:
        budget_ms: within which the candidate has to answer each text, where the served version
            does.
        same_labels: whether its labels have to be those of the served version.

    Raises:
        PromotionError: the candidate does not hold; says what differs.
    """
    (outputs, times_ms), (expected, served_ms) = await _answers([candidate, served], scheduler)
    _check_values(candidate, outputs)
    factor = statistics.median(a / b for a, b in zip(times_ms, served_ms, strict=True))
    if max(times_ms) > budget_ms and factor > SLOWER_FACTOR:
        raise PromotionError(
            f"version {candidate.version} of {candidate.name} takes {max(times_ms):.0f} ms for a "
            f"golden request, and {factor:.1f} times what version {served.version} takes; "
            f"{budget_ms:g} ms are promised"
        )
    compared, changed = changed_labels(served.card, candidate.card, expected, outputs)
    allowed = allowed_changes(served.card, candidate.card, compared)
    if same_labels and changed > allowed:
        raise PromotionError(
            f"version {candidate.version} of {candidate.name} labels {changed} of {compared} "
            f"golden requests otherwise than version {served.version}; {allowed} may differ "
            "(--force serves it nevertheless)"
        )
    bounded = min(max(factor, 1 / LARGEST_FACTOR), LARGEST_FACTOR)
    return Golden(len(GOLDEN_TEXTS), compared, changed, allowed, max(times_ms), bounded)


async def answers_at_all(candidate: ServedModel, scheduler: Scheduler) -> None:
    """Ask a version that has served before whether it still answers.

    Raises:
        PromotionError: it does not, or with values that are none.
    """
    ((outputs, _),) = await _answers([candidate], scheduler)
    _check_values(candidate, outputs)


def allowed_changes(served: EngineCard, candidate: EngineCard, compared: int) -> int:
    """How many of so many sure labels may differ between two engines."""
    share = sum(
        card.drift.labels_changed / card.drift.texts
        for card in (served, candidate)
        if card.drift.texts
    )
    return math.ceil(min(share, 1.0) * compared)


async def _answers(
    models: Sequence[ServedModel], scheduler: Scheduler
) -> list[tuple[list[Floats], list[float]]]:
    """For each model, the outputs of the golden texts, float32 of shape (width,), and their times.

    The models are asked in turn, so that what disturbs one disturbs the other. Times are the best
    of `TRIES`, in ms.
    """
    found: list[tuple[list[Floats], list[float]]] = [([], []) for _ in models]
    texts = [[tokens.ids for tokens in model.tokenizer.encode(GOLDEN_TEXTS)] for model in models]
    for number in range(len(GOLDEN_TEXTS)):
        tries = [
            [
                await _answer(model, rows[number], scheduler)
                for model, rows in zip(models, texts, strict=True)
            ]
            for _ in range(TRIES)
        ]
        for (outputs, times_ms), answers in zip(found, zip(*tries, strict=True), strict=True):
            outputs.append(answers[0][0])
            times_ms.append(min(took_ms for _, took_ms in answers))
    return found


async def _answer(model: ServedModel, ids: list[int], scheduler: Scheduler) -> tuple[Floats, float]:
    """One text's output, float32 of shape (width,), and how many ms it took."""
    await asyncio.sleep(PAUSE_SECONDS)
    try:
        rows, took_ms = await ask_aside(model, [ids], scheduler, CALL_SECONDS)
    except RequestError as error:
        raise PromotionError(
            f"version {model.version} of {model.name} does not answer a golden request: {error}"
        ) from error
    return np.array(rows[0]), took_ms


def _check_values(model: ServedModel, outputs: list[Floats]) -> None:
    told = f"version {model.version} of {model.name}"
    widths = {len(output) for output in outputs}
    if model.card.output == "logits" and widths != {len(model.card.labels)}:
        raise PromotionError(
            f"{told} answers with {', '.join(map(str, sorted(widths)))} numbers for "
            f"{len(model.card.labels)} labels"
        )
    if not all(np.isfinite(output).all() for output in outputs):
        raise PromotionError(f"{told} answers a golden request with values that are no numbers")
    if model.card.output == "embedding":
        norms = [float(np.linalg.norm(output)) for output in outputs]
        if max(abs(norm - 1) for norm in norms) > 0.01:
            raise PromotionError(f"{told} answers with vectors that are not of length 1")
    if all(np.array_equal(outputs[0], output) for output in outputs[1:]):
        raise PromotionError(f"{told} gives all golden requests the same answer")
