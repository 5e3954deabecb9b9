"""The trained default models: which labels they tell apart and which data taught them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# Passages of these categories are names and dates rather than sentences worth keeping
# (median 16 to 25 characters in the training contracts; every other category is above 150).
UNCOUNTED_CATEGORIES = frozenset({"Document Name", "Parties", "Agreement Date", "Effective Date"})


@dataclass(frozen=True)
class Task:
    """One model to train.

    `sources` are folders of the data root, each with a `train.jsonl.gz`. Those in `held_out`
    give up a part of their training texts to check the training with, because their
    `validation.jsonl.gz` is what figures are quoted on; those in `phrases` as well hold phrases
    beside their sentences and give up whole sentences. `max_tokens` cuts training texts, not
    served ones. `changes` are values of the recipe other than its defaults.
    """

    name: str
    labels: tuple[str, ...]
    sources: tuple[str, ...]
    max_tokens: int
    epochs: int
    held_out: frozenset[str] = frozenset()
    phrases: frozenset[str] = frozenset()
    negatives_per_positive: float = 3.0
    changes: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


TASKS = {
    task.name: task
    for task in (
        Task(
            "sentiment",
            ("negative", "positive"),
            ("reviews", "sst2"),
            max_tokens=256,
            epochs=2,
            held_out=frozenset({"sst2"}),
            phrases=frozenset({"sst2"}),
            # Where the rate falls to zero, what is learned of SST-2's phrases serves its
            # sentences less well (INT8: 88.8 % instead of 89.0 %).
            changes={"last_rate_share": 0.5, "averaging_decay": 0.999},
            notes=(
                "reviews: multi-domain sentiment data set, Blitzer et al. 2007, research use",
                "sst2: Stanford Sentiment Treebank, GLUE version",
            ),
        ),
        Task(
            "topics",
            ("World", "Sports", "Business", "Sci/Tech"),
            ("topics",),
            max_tokens=128,
            epochs=4,
            held_out=frozenset({"topics"}),
            notes=("topics: AG News",),
        ),
        Task(
            "contracts",
            ("drop", "keep"),
            ("contracts",),
            max_tokens=256,
            epochs=2,
            negatives_per_positive=2.0,
            notes=(
                "contracts: CUAD v1, The Atticus Project, CC BY 4.0",
                f"passages that do not count: {', '.join(sorted(UNCOUNTED_CATEGORIES))}",
            ),
        ),
    )
}
