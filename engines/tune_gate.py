"""The gate for candidates: the same limits as for a build, asked of every runtime's answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from core.card import Verdict
from engines.examiner import Examiner
from engines.runtimes import Candidate, open_engine


def verdicts(
    candidates: Sequence[Candidate],
    folder: Path,
    examiner: Examiner,
    told: Callable[[str], None] = lambda text: None,
) -> dict[Candidate, Verdict]:
    """The gate's verdict on each candidate.

    Answers depend on runtime and precision only, so each pair is asked once, with all cores.
    """
    found: dict[tuple[str, str], Verdict] = {}
    for candidate in candidates:
        pair = candidate.backend, candidate.precision
        if pair not in found:
            told(f"gate: {' '.join(pair)}")
            engine = open_engine(folder / candidate.engine_file, *pair)
            found[pair] = examiner.examine(engine).verdict
    return {each: found[each.backend, each.precision] for each in candidates}
