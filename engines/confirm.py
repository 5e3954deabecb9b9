"""Whether a recipe is better than another, or lucky: both trained in full, compared text by text.

The best of many trials is the best on the texts that ranked them, so part of its lead is chance.
Texts that neither training nor search has seen say how much is left.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.checksums import value_sha256
from engines.data import LabelledText
from engines.errors import DataError
from engines.quality import mcnemar
from engines.recipe import Recipe
from engines.search import SearchData
from engines.trainer import Trainer

RESAMPLES = 10_000
INTERVAL = (2.5, 97.5)
Answers = npt.NDArray[np.bool_]


def confirm(
    data: SearchData,
    recipes: dict[str, Recipe],
    unseen: list[LabelledText],
    base: Path,
    work: Path,
) -> dict[str, Any]:
    """Train the recipes `default` and `best` on all texts and compare them on `unseen`.

    Training goes on from checkpoints in `work`. Texts that stand in the training data do not count.

    Returns:
        Accuracies, their difference with its 95 % interval, and McNemar's exact p.

    Raises:
        DataError: no text is left to compare on.
    """
    known = {item.text for item in data.train}
    texts = [item for item in unseen if item.text not in known]
    if not texts:
        raise DataError("every text to confirm with stands in the training data; bring others")
    right = {}
    for name, recipe in recipes.items():
        folder = work / f"{data.name}-all" / value_sha256(asdict(recipe))[:16]
        trainer = Trainer(base, data.labels, recipe, folder)
        trainer.run(data.train, {})
        answered = trainer.scores([item.text for item in texts]).argmax(1)
        right[name] = answered == np.array([item.label for item in texts])
    return {
        "training_texts": len(data.train),
        "recipes": {name: asdict(recipe) for name, recipe in recipes.items()},
        **compared(right["default"], right["best"]),
    }


def compared(default: Answers, best: Answers) -> dict[str, Any]:
    """Two models' right answers on the same texts: accuracies, difference, interval, p.

    Args:
        default, best: (texts,) bool, true where the label was right.

    The interval is of a paired bootstrap, seeded; p is McNemar's, exact and two-sided.
    """
    count = len(default)
    won, lost = int((best & ~default).sum()), int((default & ~best).sum())
    shares = [won / count, lost / count, 1 - (won + lost) / count]
    drawn = np.random.default_rng(50).multinomial(count, shares, RESAMPLES)
    low, high = np.percentile((drawn[:, 0] - drawn[:, 1]) / count, INTERVAL)
    return {
        "texts": count,
        "default": float(default.mean()),
        "best": float(best.mean()),
        "difference": (won - lost) / count,
        "interval": [float(low), float(high)],
        "only_best_right": won,
        "only_default_right": lost,
        "p": mcnemar(won, lost),
    }


def in_words(found: dict[str, Any]) -> str:
    """What a comparison found, in a line."""
    low, high = (100 * edge for edge in found["interval"])
    figures = (
        f"best {found['best']:.1%}, default {found['default']:.1%} on {found['texts']} unseen "
        f"texts: {100 * found['difference']:+.1f} points (95 % interval {low:+.1f} to {high:+.1f}, "
        f"p {found['p']:.2g})"
    )
    if low > 0:
        return f"{figures}: better"
    return f"{figures}: {'worse' if high < 0 else 'no difference beyond chance'}"
