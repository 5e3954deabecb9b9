"""What a teacher's students learn from and are judged by: a default task's data, or a team's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engines.catalog import CATALOG
from engines.data import LabelledText
from engines.dataset import read_dataset
from engines.errors import EngineError
from engines.finetune import checksums, read_task
from engines.material import PROBE_TEXTS_OF_A_DATA_SET, Material, default_material, sample
from engines.merge import Adapter
from engines.tasks import TASKS

CALIBRATION_TEXTS = 256
# Of fewer, one more wrong answer is half a point; those that watched the training then help.
LEAST_JUDGED = 200


@dataclass(frozen=True)
class DistillTexts:
    """`train` teaches, `validation` by name is watched, `material` makes and judges the engines.

    `checksums` are SHA-256 of the files, for the record; `notes` are for people.
    """

    labels: tuple[str, ...]
    train: list[LabelledText]
    validation: dict[str, list[LabelledText]]
    material: Material
    checksums: dict[str, object]
    notes: tuple[str, ...]


def read_distill_texts(
    teacher: Adapter, labels: tuple[str, ...], data: Path, seed: int
) -> DistillTexts:
    """The data of the task that the teacher's card names, or a data set with the same labels.

    Raises:
        EngineError: data is missing or malformed, or the teacher is no classifier of texts.
    """
    name = str(teacher.card.get("task"))
    # A team may have an adapter and labels of the same name, and data of its own.
    task = TASKS.get(name)
    if task and task.labels == labels and all((data / each).is_dir() for each in task.sources):
        return _of_task(name, data, seed)
    found = read_dataset(data, seed=seed, labels=labels)
    judged = {"test": found.test}
    if len(found.test) < LEAST_JUDGED:
        judged = {"validation and test": found.validation + found.test}
    texts = [item.text for items in judged.values() for item in items]
    train_texts = [item.text for item in found.train]
    material = Material(
        sample(train_texts, CALIBRATION_TEXTS), sample(texts, PROBE_TEXTS_OF_A_DATA_SET), judged
    )
    return DistillTexts(
        labels,
        found.train,
        {"validation": found.validation},
        material,
        dict(found.checksums),
        found.notes,
    )


def _of_task(name: str, data: Path, seed: int) -> DistillTexts:
    task = TASKS[name]
    if CATALOG[name].task != "classify":
        raise EngineError(f"--teacher {name} chooses sentences; only classifiers are distilled")
    train, validation = read_task(task, data, seed)
    return DistillTexts(
        task.labels,
        train,
        validation,
        default_material(CATALOG[name], data),
        {source: checksums(data / source) for source in task.sources},
        task.notes,
    )
