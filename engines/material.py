"""The texts that an engine is calibrated, probed and measured with: ours, or a team's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.sentences import split_sentences
from engines.catalog import ModelSpec
from engines.data import LabelledText, read_labelled, read_rows
from engines.texts import calibration_texts, probe_texts

PROBE_TEXTS = 96
PROBE_TEXTS_OF_A_DATA_SET = 500


@dataclass(frozen=True)
class Material:
    """`calibration` sets the static scales; `probes` are what drift and invariance are measured
    on; `labelled` are data sets by name, for accuracy. No text should be in two of them."""

    calibration: Sequence[str]
    probes: Sequence[str]
    labelled: Mapping[str, Sequence[LabelledText]]


def default_material(spec: ModelSpec, data: Path | None) -> Material:
    """A default model's: our own texts, and with data below `data`, its own kind to measure on.

    Raises:
        DataError: a file is missing or malformed.
    """
    if data is None:
        return Material(calibration_texts(), probe_texts(PROBE_TEXTS), {})
    labelled = {name: read_labelled(data / name, spec.labels) for name in spec.data}
    texts = [item.text for items in labelled.values() for item in items]
    for name in spec.documents:
        for row in read_rows(data / name):
            document = str(row["text"])
            texts += [document[start:end] for start, end in split_sentences(document)]
    return Material(calibration_texts(), sample(texts, PROBE_TEXTS_OF_A_DATA_SET), labelled)


def sample(texts: Sequence[str], count: int) -> list[str]:
    """`count` texts, evenly over all, in an order that mixes lengths; the same each time."""
    chosen = np.random.default_rng(50).permutation(len(texts))[:count]
    return [texts[index] for index in chosen]
