"""What a teacher answers to the texts that its students learn from, computed once and kept.

Logits and, of every layer, the mean over the text's token vectors: 5 kB a text instead of the
hundreds that all token vectors would take (Jiao et al. 2020, arXiv:1909.10351, match them all).
Students of every depth, and runs after the first, read the same files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from core.tokenizer import pad
from engines.calibrate import watched
from engines.checksums import value_sha256
from engines.errors import DataError
from engines.measure import feed, open_session
from engines.whole_file import whole_file

RECORD_FILE, LOGITS_FILE, HIDDEN_FILE = "answers.json", "logits.npy", "hidden.npy"
TOKENS_PER_RUN = 4096
ROWS_PER_RUN = 64
RUNS_PER_SAVE = 20

Rows = Sequence[list[int]]
Halves = NDArray[np.float16]
Mapped = np.memmap[Any, np.dtype[np.float16]]
AFRESH = "delete {}, or name another folder with --out"


@dataclass(frozen=True)
class TeacherAnswers:
    """Memory-mapped float16: `logits` (texts, labels), `hidden` (texts, layers, width), the mean
    token vector behind each layer. `computed` counts the texts that this run had to ask about."""

    logits: Halves
    hidden: Halves
    computed: int


def teacher_answers(
    teacher: onnx.ModelProto,
    teacher_sha256: str,
    layers: int,
    rows: Rows,
    folder: Path,
    threads: int = 0,
) -> TeacherAnswers:
    """The teacher's answers to `rows`, read from `folder` as far as they are there.

    Args:
        teacher: unquantized classifier of engines/graph.py with that many `layers`.
        teacher_sha256: checksum of what the teacher was made of.
        rows: token ids of the texts, as they are cut for the students.
        folder: where the answers are kept; an interrupted run goes on from it.
        threads: of ONNX Runtime; 0 takes every core.

    Raises:
        DataError: the folder holds answers of another teacher or to other texts, or damaged ones.
    """
    key = {"teacher": teacher_sha256, "layers": layers, "rows": value_sha256(list(rows))}
    record = _read_record(folder, key)
    names = [f"encoder.layer.{layer}.output.LayerNorm" for layer in range(layers)]
    session = open_session(watched(teacher, names), threads)
    labels = int(teacher.graph.output[0].type.tensor_type.shape.dim[1].dim_value)
    width = _width(teacher)
    shapes = ((len(rows), labels), (len(rows), layers, width))
    logits, hidden = (
        _open(folder / name, shape, new=record is None)
        for name, shape in zip((LOGITS_FILE, HIDDEN_FILE), shapes, strict=True)
    )
    done = int(record["done"]) if record else 0
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("teacher's answers", total=len(rows), completed=done)
        asked = done
        for number, chosen in enumerate(_runs(order[done:], rows)):
            values = session.run(None, feed(*pad([rows[i] for i in chosen])))
            logits[chosen] = values[0]
            hidden[chosen] = _means(values[1:], [len(rows[i]) for i in chosen])
            asked += len(chosen)
            progress.update(bar, completed=asked)
            if number % RUNS_PER_SAVE == RUNS_PER_SAVE - 1 or asked == len(rows):
                logits.flush()
                hidden.flush()
                _write_record(folder, {**key, "done": asked})
    return TeacherAnswers(logits, hidden, asked - done)


def _runs(order: list[int], rows: Rows) -> list[list[int]]:
    """`order` cut into runs of few rows and few tokens."""
    runs: list[list[int]] = []
    tokens = 0
    for index in order:
        tokens += len(rows[index])
        if not runs or len(runs[-1]) == ROWS_PER_RUN or tokens > TOKENS_PER_RUN:
            runs.append([])
            tokens = len(rows[index])
        runs[-1].append(index)
    return runs


def _means(layers: Sequence[NDArray[np.float32]], lengths: list[int]) -> NDArray[np.float32]:
    """Mean token vector of each text, (texts, layers, width), of (1, all tokens, width) each."""
    starts = np.cumsum([0, *lengths[:-1]])
    counts = np.array(lengths, dtype=np.float32)[:, None]
    return np.stack([np.add.reduceat(v[0], starts, axis=0) / counts for v in layers], axis=1)


def _width(teacher: onnx.ModelProto) -> int:
    tables = {tensor.name: tensor for tensor in teacher.graph.initializer}
    return int(tables["embeddings.word_embeddings.weight"].dims[1])


def _open(path: Path, shape: tuple[int, ...], new: bool) -> Mapped:
    if new:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written out, not left to the first touch of a page: a disk that is full says so here.
        np.save(path, np.zeros(shape, dtype=np.float16))
    try:
        np.load(path, mmap_mode="r")  # a file that is too short is an error only to readers
        found: Mapped = np.load(path, mmap_mode="r+")
    except (FileNotFoundError, ValueError, EOFError) as error:
        raise DataError(f"{path} is damaged ({error}); {AFRESH.format(path.parent)}") from error
    if found.shape != shape or found.dtype != np.float16:
        raise DataError(f"{path} is damaged; {AFRESH.format(path.parent)}")
    return found


def _read_record(folder: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    path = folder / RECORD_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        same = {name: record[name] for name in key} == key and int(record["done"]) >= 0
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is damaged; {AFRESH.format(folder)}") from error
    if not same:
        raise DataError(
            f"{folder} holds the answers of another teacher, or to other texts; "
            f"{AFRESH.format(folder)}"
        )
    found: dict[str, Any] = record
    return found


def _write_record(folder: Path, record: dict[str, Any]) -> None:
    with whole_file(folder / RECORD_FILE) as partial:
        partial.write_text(json.dumps(record) + "\n", encoding="utf-8")
