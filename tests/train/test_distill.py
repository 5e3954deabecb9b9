"""Distilling on data made here: the teacher is asked once, the student learns, resumes, repeats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from core.tokenizer import TextTokenizer
from engines.base import load_weights
from engines.errors import DataError, EngineError
from engines.graph import EncoderShape, classifier_graph
from engines.measure import feed, open_session
from engines.short_padding import padded
from engines.teacher_answers import teacher_answers
from tests.train.test_trainer import LABELS, made_texts

LAYERS = 2
SHAPE = EncoderShape(heads=2, layers=LAYERS)
TEXTS = made_texts(600, 1)
UNSEEN = made_texts(200, 2)


@pytest.fixture(scope="module")
def head() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    random = np.random.default_rng(3)
    return random.normal(0, 0.5, (2, 32)).astype(np.float32), np.zeros(2, dtype=np.float32)


@pytest.fixture(scope="module")
def teacher(base: Path, head: Any) -> onnx.ModelProto:
    return classifier_graph(load_weights(base), SHAPE, *head)


@pytest.fixture(scope="module")
def rows(base: Path) -> list[list[int]]:
    tokenizer = TextTokenizer(base / "tokenizer.json", 32)
    return [tokens.ids for tokens in tokenizer.encode([item.text for item in TEXTS])]


@pytest.fixture
def recipe() -> Any:
    pytest.importorskip("torch", reason="the training side is not installed")
    from engines.student_trainer import DistillRecipe

    # The teacher is random: only the labels can be learned from.
    return DistillRecipe(
        epochs=3, max_tokens=32, alpha=0.0, hidden_weight=0.0,
        learning_rate=5e-3, tokens_per_batch=512,
    )  # fmt: skip


def student(base: Path, head: Any, recipe: Any, work: Path, layers: int = 1) -> Any:
    from engines.student import Teacher, layers_kept
    from engines.student_trainer import StudentTrainer

    kept = layers_kept(LAYERS, layers)
    return StudentTrainer(base, Teacher(load_weights(base), *head), kept, recipe, work)


def examples(teacher: onnx.ModelProto, rows: list[list[int]], folder: Path) -> Any:
    from engines.student_trainer import Examples

    answers = teacher_answers(teacher, "a teacher", LAYERS, rows, folder)
    return Examples(rows, [item.label for item in TEXTS], answers)


def weights_of(trainer: Any, path: Path) -> dict[str, np.ndarray[Any, Any]]:
    from safetensors.numpy import load_file

    trainer.save(path, {"kind": "weights", "layers": 1, "labels": LABELS})
    return load_file(path)


def test_the_teacher_answers_as_its_graph_and_is_asked_once(
    teacher: onnx.ModelProto, rows: list[list[int]], tmp_path: Path
) -> None:
    first = teacher_answers(teacher, "a teacher", LAYERS, rows, tmp_path)
    assert first.computed == len(rows)
    session = open_session(teacher)
    for index in (0, 17, 599):
        ids = np.array([rows[index]], dtype=np.int64)
        (expected,) = session.run(None, feed(ids, np.ones_like(ids)))
        assert np.abs(first.logits[index] - expected[0]).max() < 2e-3
    again = teacher_answers(teacher, "a teacher", LAYERS, rows, tmp_path)
    assert again.computed == 0
    assert np.array_equal(first.logits, again.logits)
    assert np.array_equal(first.hidden, again.hidden)


def test_hidden_answers_are_what_a_student_of_all_layers_sees(
    base: Path, teacher: onnx.ModelProto, head: Any, recipe: Any, rows: list[list[int]],
    tmp_path: Path,
) -> None:  # fmt: skip
    import torch

    answers = teacher_answers(teacher, "a teacher", LAYERS, rows[:20], tmp_path)
    whole = student(base, head, recipe, tmp_path, layers=LAYERS).model
    with torch.no_grad():
        logits, means = whole(*map(torch.from_numpy, padded(rows[:20])))
    assert np.abs(means.numpy() - answers.hidden).max() < 5e-3
    assert np.abs(logits.numpy() - answers.logits).max() < 5e-3


def test_an_interrupted_teacher_goes_on(
    teacher: onnx.ModelProto, rows: list[list[int]], tmp_path: Path, monkeypatch: Any
) -> None:
    from engines import teacher_answers as module

    whole = teacher_answers(teacher, "a teacher", LAYERS, rows, tmp_path / "whole")
    monkeypatch.setattr(module, "RUNS_PER_SAVE", 1)
    write = module._write_record

    def stopping(folder: Path, record: dict[str, Any]) -> None:
        write(folder, record)
        if record["done"] > 200:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "_write_record", stopping)
    with pytest.raises(KeyboardInterrupt):
        teacher_answers(teacher, "a teacher", LAYERS, rows, tmp_path / "parts")
    monkeypatch.setattr(module, "_write_record", write)
    rest = teacher_answers(teacher, "a teacher", LAYERS, rows, tmp_path / "parts")
    assert 0 < rest.computed < 400
    assert np.array_equal(whole.logits, rest.logits)
    assert np.array_equal(whole.hidden, rest.hidden)


def test_answers_to_other_texts_are_refused(
    teacher: onnx.ModelProto, rows: list[list[int]], tmp_path: Path
) -> None:
    teacher_answers(teacher, "a teacher", LAYERS, rows[:50], tmp_path)
    for another, texts in (("a teacher", rows[:49]), ("another", rows[:50])):
        with pytest.raises(DataError, match="another teacher, or to other texts"):
            teacher_answers(teacher, another, LAYERS, texts, tmp_path)


def test_answers_cut_short_are_refused(
    teacher: onnx.ModelProto, rows: list[list[int]], tmp_path: Path
) -> None:
    teacher_answers(teacher, "a teacher", LAYERS, rows[:50], tmp_path)
    hidden = tmp_path / "hidden.npy"
    for kept in (hidden.read_bytes()[:-100], b""):
        hidden.write_bytes(kept)
        with pytest.raises(DataError, match=r"hidden\.npy is damaged"):
            teacher_answers(teacher, "a teacher", LAYERS, rows[:50], tmp_path)
    hidden.unlink()
    with pytest.raises(DataError, match=r"hidden\.npy is damaged"):
        teacher_answers(teacher, "a teacher", LAYERS, rows[:50], tmp_path)


def test_a_student_of_one_layer_learns_its_labels(
    base: Path, teacher: onnx.ModelProto, head: Any, recipe: Any, rows: list[list[int]],
    tmp_path: Path,
) -> None:  # fmt: skip
    trainer = student(base, head, recipe, tmp_path)
    assert trainer.accuracy(UNSEEN) < 0.8
    history = trainer.run(examples(teacher, rows, tmp_path / "answers"), {"unseen": UNSEEN}, "key")
    assert [record["epoch"] for record in history] == [1, 2, 3]
    assert history[-1]["unseen"] > 0.9
    tensors = weights_of(trainer, tmp_path / "adapter.safetensors")
    assert {name.split(".")[2] for name in tensors if name.startswith("encoder.")} == {"0"}
    assert not any("_embeddings" in name for name in tensors)
    assert {tensor.dtype.name for tensor in tensors.values()} == {"float16"}


def test_a_student_comes_near_a_teacher_without_labels(
    base: Path, teacher: onnx.ModelProto, head: Any, recipe: Any, rows: list[list[int]],
    tmp_path: Path,
) -> None:  # fmt: skip
    recipe = replace(recipe, alpha=1.0, hidden_weight=1.0, learning_rate=2e-3)
    trainer = student(base, head, recipe, tmp_path)
    learned_from = examples(teacher, rows, tmp_path / "answers")
    texts = [item.text for item in TEXTS]
    wanted = learned_from.answers.logits.astype(np.float32)
    before = np.abs(trainer.logits(texts) - wanted).mean()
    trainer.run(learned_from, {}, "key")
    assert np.abs(trainer.logits(texts) - wanted).mean() < 0.5 * before


def test_an_interrupted_student_goes_on_to_the_same_end(
    base: Path, teacher: onnx.ModelProto, head: Any, recipe: Any, rows: list[list[int]],
    tmp_path: Path, monkeypatch: Any,
) -> None:  # fmt: skip
    from engines.student_trainer import StudentTrainer

    learned_from = examples(teacher, rows, tmp_path / "answers")
    whole = student(base, head, recipe, tmp_path / "whole")
    whole.run(learned_from, {}, "key")
    # One epoch at first, then more, of which the last is broken off half-way.
    student(base, head, replace(recipe, epochs=1), tmp_path / "parts").run(learned_from, {}, "key")
    step = StudentTrainer._step

    def stopping(self: Any, *arguments: Any) -> float:
        if self.epoch == 2 and self.step % 5 == 4:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(StudentTrainer, "_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        student(base, head, recipe, tmp_path / "parts").run(learned_from, {}, "key")
    monkeypatch.setattr(StudentTrainer, "_step", step)
    resumed = student(base, head, recipe, tmp_path / "parts")
    history = resumed.run(learned_from, {}, "key")
    assert [record["epoch"] for record in history] == [1, 2, 3]
    one = weights_of(whole, tmp_path / "whole.safetensors")
    other = weights_of(resumed, tmp_path / "parts.safetensors")
    assert all(np.array_equal(one[name], other[name]) for name in one)
    files = [(tmp_path / f"{name}.safetensors").read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]

    for changed, key in ((recipe, "other data"), (replace(recipe, seed=51), "key")):
        with pytest.raises(DataError, match="another recipe, teacher or data"):
            student(base, head, changed, tmp_path / "parts").run(learned_from, {}, key)


def test_the_graph_answers_like_the_student(
    base: Path, teacher: onnx.ModelProto, head: Any, recipe: Any, rows: list[list[int]],
    tmp_path: Path,
) -> None:  # fmt: skip
    trainer = student(base, head, replace(recipe, epochs=1), tmp_path)
    trainer.run(examples(teacher, rows, tmp_path / "answers"), {}, "key")
    tensors = weights_of(trainer, tmp_path / "adapter.safetensors")
    tensors = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
    own_head = tensors.pop("head.weight"), tensors.pop("head.bias")
    made = {**load_weights(base), **tensors}
    session = open_session(classifier_graph(made, replace(SHAPE, layers=1), *own_head))
    # What is written is half precision; the answers of just that are compared.
    for average in trainer.average.values():
        average.copy_(average.half().float())
    expected = trainer.logits([item.text for item in UNSEEN[:40]])
    tokenizer = TextTokenizer(base / "tokenizer.json", 32)
    for item, wanted in zip(UNSEEN[:40], expected, strict=True):
        ids = np.array([tokenizer.encode([item.text])[0].ids], dtype=np.int64)
        (answered,) = session.run(None, feed(ids, np.ones_like(ids)))
        assert np.abs(answered[0] - wanted).max() < 1e-4


@pytest.mark.parametrize(
    ("teacher_layers", "layers", "kept"),
    [(6, 3, (1, 3, 5)), (6, 2, (2, 5)), (6, 4, (1, 2, 4, 5)), (6, 1, (5,)), (2, 1, (1,))],
)
def test_layers_are_kept_evenly_with_the_last(
    teacher_layers: int, layers: int, kept: tuple[int, ...]
) -> None:
    pytest.importorskip("torch", reason="the training side is not installed")
    from engines.student import layers_kept

    assert layers_kept(teacher_layers, layers) == kept


@pytest.mark.parametrize("layers", [(), (0,), (3, 6), (7,), (-1,)])
def test_depths_out_of_range_name_the_option(layers: tuple[int, ...]) -> None:
    pytest.importorskip("torch", reason="the training side is not installed")
    from engines.distill import require_depths

    with pytest.raises(EngineError, match=r"--layers .*1 to 5"):
        require_depths(layers, 6)
