"""A user's own texts, to set the scales of an engine with and to measure it on."""

from __future__ import annotations

from pathlib import Path

from core.sentences import split_sentences
from engines.catalog import ModelSpec
from engines.data import LabelledText, read_rows
from engines.errors import DataError
from engines.import_measure import MOST_CALIBRATION_TEXTS, MOST_PROBES, texts_for
from engines.labelled_file import LEAST_TEXTS
from engines.material import Material, default_material, sample


def material_from(spec: ModelSpec, data: Path | None) -> Material:
    """Our own texts, those of the data sets in a folder, or a user's own in a file.

    Raises:
        DataError: the model has no data sets in such folders; or see `file_material`.
    """
    if data is None:
        return default_material(spec, None)
    if not data.is_dir():
        return file_material(spec, data)
    if not spec.data and not spec.documents:
        raise DataError(f"--data {data} is a folder; name one file with the texts of {spec.name}")
    return default_material(spec, data)


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
