"""Measures what the gate passed of one model, and chooses: the last steps of every tuning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from engines import tune_measure
from engines.gpu import Gpu
from engines.runtimes import gpu_name
from engines.tune_choice import Choice
from engines.tune_choose import fitted_line, winner
from engines.tune_gate import Judged
from engines.tune_lengths import cut_lengths, lengths_text, parse_lengths
from engines.tune_report import Tuned
from engines.tune_subject import Subject


def measured(
    subject: Subject,
    folder: Path,
    asked: Judged,
    choice: Choice,
    told: Callable[[str], None],
    left_out: Sequence[str] = (),
    gpu: Gpu | None = None,
) -> Tuned:
    """Measure candidates side by side; the best of those that the gate passes wins.

    Args:
        subject: the version that is served.
        folder: with the candidates' engine files.
        asked: the candidates, and what the gate says of each.
        choice: texts, and time of each candidate.
        told: hears what is being done.
        left_out: a line for each candidate that could not be asked.
        gpu: which one candidates run on, where any does.

    Raises:
        EngineError: a candidate cannot be run, or the gate refuses all.
    """
    mix = parse_lengths(choice.lengths)
    lengths = cut_lengths(mix, subject.card.max_tokens)
    found = tune_measure.measure(
        list(asked.verdicts), folder, lengths, choice.seconds, told, subject.token_ids
    )
    best = winner(found, asked.verdicts)
    overhead_ms, ms_per_token = fitted_line(best.runs)
    return Tuned(
        name=subject.name,
        version=subject.card.version,
        lengths=choice.lengths if lengths == mix else lengths_text(lengths),
        measurements=found,
        verdicts=asked.verdicts,
        winner=best.candidate,
        line_overhead_ms=overhead_ms,
        line_ms_per_token=ms_per_token,
        left_out=(*left_out, *asked.left_out),
        gpu=gpu_name(gpu) if gpu else None,
    )
