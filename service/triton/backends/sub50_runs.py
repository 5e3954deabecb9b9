"""Which rows run together: texts of mixed length, cut into runs of equal length.

A request may hold texts of every length, padded to its longest. The padding is not run: each
row's own length is read from its mask, and rows are gathered into runs by what a run costs.
Lies beside every backend's `model.py`: it may import nothing of this project.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# The lengths that rows are run at: for engines that prepare each shape anew, few enough to warm up
# (the padded lengths of core/buckets.py); for others, as long as the text is and no longer.
BUCKET_LENGTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
EVERY_LENGTH = tuple(range(1, BUCKET_LENGTHS[-1] + 1))
# Attention looks at pairs of tokens, padding among them: so many take the time that one token takes
# in all the rest of the encoder (6 layers, 384 wide, INT8 but for attention; a text of 20 tokens
# padded to 256 takes 10 ms more, 100 tokens take as long).
PAIRS_PER_TOKEN = 600


@dataclass(frozen=True)
class Costs:
    """What decides how rows are cut into runs, both counted in tokens.

    `run_overhead_tokens` is how many more tokens a run could take in the time it needs for
    nothing; `max_run_tokens` bounds a run's rows times its length (a single row may be longer).
    `skips_padding`: the engine drops padding by itself, everywhere but in attention.
    """

    run_overhead_tokens: int = 16
    max_run_tokens: int = 512
    skips_padding: bool = False

    def rows_in_run(self, length: int) -> int:
        """Rows of that length that a run may have."""
        return max(1, self.max_run_tokens // length)

    def row_tokens(self, tokens: int, length: int) -> float:
        """What a row of so many tokens costs in a run of that length."""
        return tokens + length**2 / PAIRS_PER_TOKEN if self.skips_padding else length


@dataclass(frozen=True)
class Run:
    """One run of the engine: the padded length, and the positions of its rows."""

    length: int
    rows: list[int]


def padded_lengths(mask: Array, lengths: Sequence[int]) -> list[int]:
    """The length that each row of a mask, integers [rows, tokens], has to be run at.

    A mask of ones and then zeros gives the smallest of the ascending `lengths` that holds the ones.
    Any other mask, and one with more ones than the largest of them, gives the whole width.
    """
    width = mask.shape[1]
    ones = np.count_nonzero(mask, axis=1)
    expected = np.arange(width) < ones[:, None]
    trimmed = np.all(mask == expected, axis=1) & (ones > 0) & (ones <= lengths[-1])
    return [
        min(width, lengths[bisect_left(lengths, count)]) if is_trimmed else width
        for count, is_trimmed in zip(ones.tolist(), trimmed.tolist(), strict=True)
    ]


def plan_runs(lengths: list[int], costs: Costs) -> list[Run]:
    """Cut rows of these padded lengths into the runs that cost least, shortest first.

    Rows keep their order within a length. Rows of one length may join those of the next when a
    run of their own would cost more than their padding: dynamic programming over the lengths
    that occur finds the split with the smallest sum of what its runs cost.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    ordered = [lengths[row] for row in order]
    # ends[i]: how many rows are no longer than the i-th length.
    distinct = sorted(set(lengths))
    ends = [0, *(bisect_left(ordered, length + 1) for length in distinct)]
    best: list[tuple[float, int]] = [(0.0, 0)]  # cost of the first lengths, start of its last run
    for last in range(1, len(distinct) + 1):
        best.append(
            min(
                (best[first][0] + segment_cost(ordered[ends[first] : ends[last]], costs), first)
                for first in range(last)
            )
        )
    runs: list[Run] = []
    last = len(distinct)
    while last:
        first = best[last][1]
        runs = segment_runs(order[ends[first] : ends[last]], lengths, costs) + runs
        last = first
    return runs


def segment_cost(ordered: list[int], costs: Costs) -> float:
    """Cost in tokens of rows of these ascending lengths that all run at the longest, in as many
    runs as the limit asks for."""
    length = ordered[-1]
    runs = -(-len(ordered) // costs.rows_in_run(length))
    rows = sum(costs.row_tokens(tokens, length) for tokens in ordered)
    return runs * costs.run_overhead_tokens + rows


def segment_runs(rows: list[int], lengths: list[int], costs: Costs) -> list[Run]:
    """Runs of rows, shortest first; each is as long as its own longest row."""
    size = costs.rows_in_run(lengths[rows[-1]])
    pieces = [rows[start : start + size] for start in range(0, len(rows), size)]
    return [Run(lengths[piece[-1]], piece) for piece in pieces]


def gather(sources: list[Array], rows: list[int], length: int) -> Array:
    """One array [len(rows), length] of row `rows[i]` of `sources[i]`, cut or zero-padded.

    What is cut off are positions that the mask says nothing stands at.
    """
    gathered = np.zeros((len(rows), length), dtype=sources[0].dtype)
    for position, (source, row) in enumerate(zip(sources, rows, strict=True)):
        kept = source[row, :length]
        gathered[position, : len(kept)] = kept
    return gathered
