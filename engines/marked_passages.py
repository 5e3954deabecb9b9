"""Which of the passages that lawyers marked a summary touches."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from engines.bootstrap import ratio_interval
from engines.contracts import Contract, overlapping, stands_for
from engines.summarizer import Ranked

Interval = tuple[float, float] | None
# Of a contract's sentences.
SUMMARY_SHARE = 0.15


@dataclass(frozen=True)
class Touched:
    """Marked passages that one ranking's summaries touch, one number a contract.

    `half` counts those of which a chosen sentence shares half, of the shorter of both;
    `at_equal_words` those touched where the summary is cut by words and not by sentences.
    """

    passages: list[int]
    touched: list[int]
    half: list[int]
    at_equal_words: list[int]
    sentences: list[int]
    words: list[int]
    all_words: list[int]

    @property
    def share(self) -> float:
        """Of all passages."""
        return sum(self.touched) / max(1, sum(self.passages))

    def figures(self) -> dict[str, object]:
        """What is told of a ranking: shares of passages and of words, and lengths."""
        passages = max(1, sum(self.passages))
        pairs = zip(self.touched, self.passages, strict=True)
        return {
            "share": self.share,
            "share_interval": ratio_interval(self.touched, self.passages),
            "mean_share": float(np.mean([hits / all_ for hits, all_ in pairs if all_] or [0.0])),
            "half_share": sum(self.half) / passages,
            "share_at_equal_words": sum(self.at_equal_words) / passages,
            "share_at_equal_words_interval": ratio_interval(self.at_equal_words, self.passages),
            "word_share": sum(self.words) / sum(self.all_words),
            "mean_words": float(np.mean(self.words)),
            "mean_sentences": float(np.mean(self.sentences)),
        }

    def lead_over(self, other: Touched) -> tuple[float, Interval]:
        """How much larger the share is than another ranking's, with the interval of that."""
        differences = np.subtract(self.touched, other.touched)
        return self.share - other.share, ratio_interval(differences, self.passages)


def touched_by(contracts: Sequence[Contract], rankings: Sequence[Ranked]) -> Touched:
    """Summarize every contract to 15 % of its sentences, and to 15 % of its words, and count.

    Args:
        contracts: at least one.
        rankings: what one ranking says of each contract.
    """
    found = Touched([], [], [], [], [], [], [])
    for contract, ranking in zip(contracts, rankings, strict=True):
        chosen = ranking.chosen(ratio=SUMMARY_SHARE)
        most_words = round(SUMMARY_SHARE * sum(ranking.words))
        by_words = ranking.chosen(max_words=most_words)
        found.passages.append(len(contract.passages))
        found.touched.append(sum(touches(contract, chosen)))
        found.half.append(sum(touches(contract, chosen, half=True)))
        found.at_equal_words.append(sum(touches(contract, by_words)))
        found.sentences.append(len(chosen))
        found.words.append(ranking.words_of(chosen))
        found.all_words.append(sum(ranking.words))
    return found


def touches(contract: Contract, chosen: Collection[int], half: bool = False) -> list[bool]:
    """For each marked passage, whether a chosen sentence shares a character with it.

    With `half`, whether one shares at least half of the shorter of the two.
    """
    kept = set(chosen)
    return [
        any(
            index in kept and (not half or stands_for(contract.sentences[index], passage))
            for index in overlapping(contract.sentences, passage)
        )
        for passage in contract.passages
    ]
