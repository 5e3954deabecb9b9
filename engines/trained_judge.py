"""Engines of what was trained on the base beside the unquantized graph, and a user's own texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from core.sentences import split_sentences
from core.tokenizer import TextTokenizer
from engines import gate, measure
from engines.catalog import ModelSpec
from engines.data import LabelledText, read_rows
from engines.errors import DataError
from engines.import_measure import MOST_CALIBRATION_TEXTS, MOST_PROBES, Findings, texts_for
from engines.labelled_file import LEAST_TEXTS
from engines.material import Material, sample


class TrainedJudge:
    """The unquantized graph's answers, which are the same for all engines tried."""

    def __init__(
        self, output: str, tokenizer: TextTokenizer, reference: onnx.ModelProto, material: Material
    ) -> None:
        self.output = output
        session = measure.open_session(reference)
        self.rows = _ids(tokenizer, material.probes)
        self.expected = measure.answers_alone(session, self.rows)
        self.labelled = []
        for name, items in material.labelled.items():
            rows = _ids(tokenizer, [item.text for item in items])
            # By length: a batch then has hardly any padding.
            order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
            labels = np.array([items[index].label for index in order], dtype=np.int64)
            ordered = [rows[index] for index in order]
            answered = measure.answers_in_batches(session, ordered)
            self.labelled.append((name, ordered, labels, answered))

    def examine(self, engine: measure.Engine, /) -> Findings:
        """Whether an engine's answers are near enough, hold still, and are as right."""
        alone = measure.answers_alone(engine, self.rows)
        drift = measure.drift(self.expected, alone, self.output)
        held = measure.invariance(engine, self.rows, alone, gate.INVARIANCE_LIMIT)
        accuracy = [
            measure.accuracy(name, labels, expected, measure.answers_in_batches(engine, rows))
            for name, rows, labels, expected in self.labelled
        ]
        return Findings(drift, held, accuracy, gate.judge(drift, held, accuracy))

    def mean_change(self, engine: measure.Engine, texts: int, /) -> float:
        """Mean change of an answer over the first so many probes."""
        alone = measure.answers_alone(engine, self.rows[:texts])
        return measure.drift(self.expected[:texts], alone, self.output).mean_change


def file_material(spec: ModelSpec, path: Path) -> Material:
    """A user's own texts: a part sets the scales, the others measure.

    Of a classifier labelled texts, as `read_examples` has them; of a summarizer documents, rows of
    `{"text"}`, whose sentences are taken.

    Raises:
        DataError: the file is missing, too short, or a field is wrong; names line and field.
    """
    if spec.task == "summarize":
        return _documents_material(path)
    texts = texts_for(spec.labels, "single_label", path)
    labelled = [LabelledText(example.text, example.labels[0]) for example in texts.examples]
    return Material(texts.calibration, texts.probes, {path.name: labelled})


def _documents_material(path: Path) -> Material:
    sentences: list[str] = []
    for number, row in enumerate(read_rows(path), start=1):
        text = row.get("text")
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{path}:{number}: field 'text' must be a string that is not blank")
        sentences += [text[start:end] for start, end in split_sentences(text)]
    distinct = list(dict.fromkeys(sentences))
    if len(distinct) < LEAST_TEXTS:
        raise DataError(
            f"{path} has {len(distinct)} different sentences; at least {LEAST_TEXTS} are needed"
        )
    few = min(MOST_CALIBRATION_TEXTS, len(distinct) // 4)
    mixed = sample(distinct, few + MOST_PROBES)
    return Material(mixed[:few], mixed[few:], {})


def _ids(tokenizer: TextTokenizer, texts: Sequence[str]) -> list[list[int]]:
    return [tokens.ids for tokens in tokenizer.encode(list(texts))] if texts else []
