"""Distills a classifier into ones of fewer layers: ask the teacher, teach, quantize, compare.

Needs the `train` extra. Every step keeps what it made, so that a run that was interrupted goes on
where it stood, and one that was finished only compares again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from core.card import CARD_FILE as ENGINE_CARD
from core.card import EngineCard, read_card
from core.tokenizer import TextTokenizer
from engines import base, graph
from engines.adapter_folder import named_folder, write_folder
from engines.build_trained import FIRST_VERSION, Trained, make_candidate
from engines.checksums import changed_files, file_sha256, value_sha256
from engines.depth_curve import Curve, Depth, measure_curve
from engines.distill_texts import DistillTexts, read_distill_texts
from engines.errors import EngineError, GateError
from engines.graph import EncoderShape
from engines.merge import (
    ADAPTER_FILE,
    WEIGHTS,
    Adapter,
    merge,
    read_adapter,
    trained_labels,
)
from engines.revision import tool_versions
from engines.student import Teacher, layers_kept
from engines.student_trainer import DistillRecipe, Examples, StudentTrainer
from engines.teacher_answers import TeacherAnswers, teacher_answers

TOOLS = ("torch", "transformers", "tokenizers", "onnxruntime")
TEACHER = "teacher"
ANSWERS = "teacher-answers"


@dataclass(frozen=True)
class Distilling:
    """What to distill, and where to.

    Attributes:
        name: the model that the engines are versions of.
        teacher: an adapter's name in engines/adapters, or its folder.
        layers: how many layers the students have.
        data: the folder of labelled data, or a data set.
        out: takes `layers-K` with adapter and engine for each depth, and `work`.
        base: the base encoder's folder; None fetches it.
        threads: of ONNX Runtime and PyTorch while learning; 0 takes every core.
    """

    name: str
    teacher: str
    layers: tuple[int, ...]
    data: Path
    out: Path
    recipe: DistillRecipe
    base: Path | None = None
    threads: int = 0


def distill(asked: Distilling, told: Console) -> Curve:
    """Make a student of every depth and its engine, and measure them beside the teacher's.

    Raises:
        EngineError: teacher, data or depths are not what they should be.
    """
    base_folder = base.ensure_base(asked.base)
    folder = named_folder(asked.teacher, "--teacher")
    adapter = read_adapter(folder, base.SHA256[base.WEIGHTS_FILE], trained_labels(folder))
    shape = replace(base.SHAPE, layers=adapter.layers or base.SHAPE.layers)
    require_depths(asked.layers, shape.layers)
    texts = read_distill_texts(adapter, trained_labels(folder), asked.data, asked.recipe.seed)
    for note in texts.notes:
        told.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    school = School(base_folder, shape, adapter, texts, asked.recipe, asked.threads)
    answers = school.ask(asked.out / "work" / ANSWERS)
    for layers in asked.layers:
        school.teach(answers, layers, asked.out)
    depths = [_engine(folder, asked, shape.layers, asked.out / TEACHER, texts)]
    if depths[0].refused:
        raise GateError(f"there is nothing to compare students with: {depths[0].refused}")
    for layers in asked.layers:
        student = asked.out / folder_name(layers)
        depths.append(_engine(student, asked, layers, student, texts))
    return measure_curve(asked.name, depths, answers.computed)


def require_depths(layers: Sequence[int], teacher_layers: int) -> None:
    """Raise EngineError unless each depth is one that a student of this teacher can have."""
    wrong = [depth for depth in layers if not 1 <= depth < teacher_layers]
    if wrong or not layers:
        given = ",".join(map(str, wrong)) or "nothing"
        raise EngineError(
            f"--layers {given}: the teacher has {teacher_layers} layers; name numbers from 1 to "
            f"{teacher_layers - 1}"
        )


def folder_name(layers: int) -> str:
    """Where the student of that depth lies."""
    return f"layers-{layers}"


class School:
    """A teacher, its texts, and the recipe by which students are taught."""

    def __init__(
        self,
        base_folder: Path,
        shape: EncoderShape,
        adapter: Adapter,
        texts: DistillTexts,
        recipe: DistillRecipe,
        threads: int,
    ) -> None:
        self.base_folder, self.shape, self.adapter = base_folder, shape, adapter
        self.texts, self.recipe, self.threads = texts, recipe, threads
        weights = merge(base.load_weights(base_folder), adapter)
        self.teacher = Teacher(weights, adapter.head_weight, adapter.head_bias)
        tokenizer = TextTokenizer(base_folder / base.TOKENIZER_FILE, recipe.max_tokens)
        self.rows = [t.ids for t in tokenizer.encode([item.text for item in texts.train])]

    def ask(self, folder: Path) -> TeacherAnswers:
        """The teacher's answers to all training texts, kept in `folder`.

        Raises:
            DataError: the folder holds others.
        """
        network = graph.classifier_graph(
            self.teacher.weights, self.shape, self.teacher.head_weight, self.teacher.head_bias
        )
        return teacher_answers(
            network, self.adapter.sha256, self.shape.layers, self.rows, folder, self.threads
        )

    def teach(self, answers: TeacherAnswers, layers: int, out: Path) -> dict[str, Any]:
        """Train the student of that depth and write it as an adapter folder; returns its card.

        Raises:
            DataError: a checkpoint of another recipe, teacher or data is there.
        """
        labels = [item.label for item in self.texts.train]
        kept = layers_kept(self.shape.layers, layers)
        work, folder = out / "work" / folder_name(layers), out / folder_name(layers)
        trainer = StudentTrainer(
            self.base_folder, self.teacher, kept, self.recipe, work, self.threads
        )
        rows = value_sha256(self.rows)
        key = value_sha256({"teacher": self.adapter.sha256, "rows": rows, "labels": labels})
        history = trainer.run(Examples(self.rows, labels, answers), self.texts.validation, key)
        identity = {
            "labels": list(self.texts.labels),
            "layers": layers,
            "base_sha256": file_sha256(self.base_folder / base.WEIGHTS_FILE),
        }

        def card(adapter_sha256: str) -> dict[str, Any]:
            return {
                "task": self.adapter.card.get("task"),
                **identity,
                "adapter_sha256": adapter_sha256,
                **self._record(kept, len(history)),
                "trained_parameters": sum(p.numel() for p in trainer.trained.values()),
                "history": history,
            }

        metadata = {"kind": WEIGHTS, **identity}
        return write_folder(folder, lambda path: trainer.save(path, metadata), card)

    def _record(self, kept: tuple[int, ...], epochs: int) -> dict[str, Any]:
        """What a student was made from."""
        return {
            "teacher_sha256": self.adapter.sha256,
            "teacher_layers_kept": list(kept),
            "recipe": {**asdict(self.recipe), "epochs": epochs},
            "data": self.texts.checksums,
            "training_texts": len(self.rows),
            "tools": tool_versions(TOOLS),
            "notes": list(self.texts.notes),
        }


def _engine(
    adapter: Path, asked: Distilling, layers: int, folder: Path, texts: DistillTexts
) -> Depth:
    """The INT8 engine of an adapter, as version folder in `folder`, made unless it is there."""
    target = folder / FIRST_VERSION
    about = f"{asked.name} in {layers} layers; distilling compared it with others."
    card = _made_before(target, adapter, texts)
    try:
        card = card or make_candidate(
            Trained(adapter, asked.name, about), target, texts.material, asked.base
        )
    except GateError as error:
        return Depth(layers, adapter, target, None, str(error))
    return Depth(layers, adapter, target, card)


def _made_before(target: Path, adapter: Path, texts: DistillTexts) -> EngineCard | None:
    """The card of an engine that is there, whole, made of this very adapter and judged alike."""
    if not (target / ENGINE_CARD).is_file():
        return None
    try:
        card = read_card(target)
        changed = list(changed_files(target, card))
    except (OSError, ValueError):  # made anew
        return None
    judged = {(each.data, each.rows) for each in card.accuracy}
    same = card.adapter_sha256 == file_sha256(adapter / ADAPTER_FILE) and judged == {
        (name, len(items)) for name, items in texts.material.labelled.items()
    }
    return card if same and not changed else None
