"""Runs engines in process and measures them: answers, drift, invariance, accuracy, memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from core.buckets import BUCKET_LENGTHS, bucket_length
from core.card import Accuracy, Drift, Invariance
from core.scores import softmax
from core.tokenizer import pad

Floats = NDArray[np.float32]
Labels = NDArray[np.bool_]
Rows = Sequence[list[int]]

BATCH = 32


class Engine(Protocol):
    """What is asked of an engine here, whatever runs it: two methods of ONNX Runtime's session."""

    def run(self, names: None, feed: dict[str, NDArray[np.int64]], /) -> list[Floats]:
        """All outputs for one batch."""

    def get_outputs(self) -> Sequence[Any]:
        """The outputs, each with its `name`."""


def open_session(
    model: onnx.ModelProto | Path, threads: int = 0, profile: Path | None = None
) -> ort.InferenceSession:
    """An ONNX Runtime session on the CPU; `threads` 0 takes every core.

    With `profile`, what runs is written to a file whose path begins so, by `end_profiling()`.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Several sessions live side by side here: threads that spin while idle slow the others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    profile_into(options, profile)
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def profile_into(options: ort.SessionOptions, profile: Path | None) -> None:
    """Have a session write its profile to a file whose path begins so; with None not at all."""
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)


def feed(
    input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]
) -> dict[str, NDArray[np.int64]]:
    """The inputs of an engine for single texts: every token is of type 0."""
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "token_type_ids": np.zeros_like(input_ids),
    }


def answers(session: Engine, rows: Rows, length: int | None = None) -> Floats:
    """What the engine answers to one batch, padded to `length` or the rows' bucket.

    Returns:
        float32 (rows, width): probabilities for `logits`, the vector for `embedding`.
    """
    output: Floats = session.run(None, feed(*pad(rows, length)))[0]
    return softmax(output) if session.get_outputs()[0].name == "logits" else output


def answers_alone(session: Engine, rows: Rows) -> Floats:
    """What the engine answers to each text by itself, float32 (rows, width)."""
    return np.concatenate([answers(session, [row]) for row in rows])


def answers_in_batches(session: Engine, rows: Rows) -> Floats:
    """What the engine answers in batches of 32 in the given order, float32 (rows, width)."""
    starts = range(0, len(rows), BATCH)
    return np.concatenate([answers(session, rows[start : start + BATCH]) for start in starts])


def drift(reference: Floats, answered: Floats, output: str) -> Drift:
    """Change of answers against the unquantized graph: of scores, or 1 - cosine of vectors."""
    if output == "embedding":
        lengths = np.linalg.norm(reference, axis=1) * np.linalg.norm(answered, axis=1)
        change = 1 - (reference * answered).sum(axis=1) / lengths
        return drift_of(change, no_labels(reference), no_labels(answered))
    return score_drift(reference, answered, best_labels)


def score_drift(reference: Floats, answered: Floats, labels: Callable[[Floats], Labels]) -> Drift:
    """Change of scores against the unquantized graph, float32 (texts, labels) each; `labels` are
    those that scores give."""
    change = np.abs(reference - answered).max(axis=1)
    return drift_of(change, labels(reference), labels(answered))


def drift_of(change: Floats, before: Labels, after: Labels) -> Drift:
    """The record of how far each text's answer moved, (texts,), and of labels before and after."""
    return Drift(
        texts=len(change),
        # NumPy's maximum keeps a NaN, which the gate refuses; Python's may not.
        mean_change=float(np.maximum(change.mean(), 0)),
        largest_change=float(np.maximum(change.max(), 0)),
        labels_changed=int((before != after).any(axis=1).sum()),
    )


def invariance(session: Engine, rows: Rows, alone: Floats, limit: float) -> Invariance:
    """How far answers move with batch-mates and padding; see `invariance_of`.

    `alone` holds the answers to each text by itself.
    """

    def answer(some: Rows, length: int | None) -> Floats:
        return answers(session, some, length)

    # A vector has no label that could flip.
    labels = best_labels if session.get_outputs()[0].name == "logits" else no_labels
    return invariance_of(answer, labels, rows, alone, limit)


def invariance_of(
    answer: Callable[[Rows, int | None], Floats],
    labels: Callable[[Floats], Labels],
    rows: Rows,
    alone: Floats,
    limit: float,
    max_tokens: int = BUCKET_LENGTHS[-1],
) -> Invariance:
    """How far answers move in batches of 32 mixed lengths, and padded to longer buckets.

    Each text is padded to the next bucket and to one more, which walks through all buckets up to
    `max_tokens` from text to text.

    Args:
        answer: to one batch, padded to a length or, where that is None, the rows' bucket.
        labels: which labels answers give.
        rows: token ids of each text.
        alone: the answers to each text by itself, float32 (texts, width).
        limit: what the record says may move.
        max_tokens: what the engine takes.
    """
    starts = range(0, len(rows), BATCH)
    others = [np.concatenate([answer(rows[i : i + BATCH], None) for i in starts])]
    next_length, some_length = [], []
    for index, row in enumerate(rows):
        least = bucket_length(len(row))
        longer = [n for n in BUCKET_LENGTHS if least < n <= max_tokens] or [max_tokens]
        next_length.append(answer([row], longer[0]))
        some_length.append(answer([row], longer[index % len(longer)]))
    others += [np.concatenate(next_length), np.concatenate(some_length)]
    flips = np.zeros(len(rows), dtype=np.bool_)
    for other in others:
        flips |= (labels(other) != labels(alone)).any(axis=1)
    return Invariance(
        texts=len(rows),
        largest_change=float(np.max([np.abs(other - alone).max() for other in others])),
        labels_flipped=int(flips.sum()),
        limit=limit,
    )


def best_labels(scores: Floats) -> Labels:
    """The label with the highest score, of each text, (texts, labels)."""
    best: Labels = scores.argmax(axis=1)[:, None] == np.arange(scores.shape[1])
    return best


def no_labels(scores: Floats) -> Labels:
    """Where answers are numbers, (texts, width)."""
    return np.zeros(scores.shape, dtype=np.bool_)


def accuracy(data: str, labels: NDArray[np.int64], reference: Floats, answered: Floats) -> Accuracy:
    """Accuracy and macro F1 of the engine and of the unquantized graph; labels int64 (rows,)."""
    predicted, expected = answered.argmax(axis=1), reference.argmax(axis=1)
    classes = answered.shape[1]
    return Accuracy(
        data=data,
        rows=len(labels),
        accuracy=float((predicted == labels).mean()),
        macro_f1=macro_f1(labels, predicted, classes),
        reference_accuracy=float((expected == labels).mean()),
        reference_macro_f1=macro_f1(labels, expected, classes),
    )


def macro_f1(labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> float:
    """Mean over the classes of 2 TP / (2 TP + FP + FN); a class never seen nor named counts 0."""
    return float(np.mean([f1(labels == label, predicted == label) for label in range(classes)]))


def f1(expected: Labels, given: Labels) -> float:
    """Of one label, bool (texts,) each; 0 where it is neither expected nor given."""
    named = int(expected.sum() + given.sum())
    return 2 * int((expected & given).sum()) / named if named else 0.0


def memory_bytes(engine: Path) -> int:
    """Resident memory that a process gains by loading and running the engine (in a new process)."""
    command = [sys.executable, "-m", "engines.memory", str(engine.resolve())]
    root = Path(__file__).resolve().parent.parent
    finished = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    return int(finished.stdout)
