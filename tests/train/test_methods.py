"""What the recipe may ask for beside the default: methods, patience, weights, less memory."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from core.buckets import bucket_length
from core.tokenizer import pad
from engines.data import LabelledText
from engines.errors import DataError, EngineError
from engines.graph import EncoderShape, classifier_graph
from engines.judged import Judged
from engines.measure import feed, open_session
from engines.merge import CARD_FILE, merge, read_adapter
from engines.recipe import Recipe
from tests.train.test_trainer import LABELS, made_texts

LORA = Recipe(epochs=3, max_tokens=32, learning_rate=5e-3, tokens_per_batch=512)
FULL = replace(LORA, method="full", learning_rate=3e-3)
SHAPE = EncoderShape(heads=2, layers=2, layer_norm_epsilon=1e-12)


def trainer_of(base: Path, recipe: Recipe, work: Path) -> Any:
    from engines.trainer import Trainer

    return Trainer(base, LABELS, recipe, work)


def answers(session: Any, texts: list[str], tokenizer: Any) -> np.ndarray:
    rows = [tokenizer.encode(text).ids for text in texts]
    return np.concatenate(
        [session.run(None, feed(*pad([row], bucket_length(len(row)))))[0] for row in rows]
    )


@pytest.mark.parametrize("recipe", [LORA, FULL], ids=["lora", "full"])
def test_what_is_trained_is_what_the_graph_answers(
    base: Path, recipe: Recipe, tmp_path: Path
) -> None:
    import torch

    from engines.adapter_files import write_adapter
    from engines.base import load_weights
    from engines.trainer import pad_rows

    trainer = trainer_of(base, recipe, tmp_path / "work")
    history = trainer.run(made_texts(600, 1), {"unseen": made_texts(200, 2)})
    assert history[-1]["unseen"] > 0.9
    card = write_adapter(trainer, "mood", {}, base, tmp_path / "mood")
    adapter = read_adapter(tmp_path / "mood", card["base_sha256"], LABELS)
    merged = merge(load_weights(base), adapter)
    graph = classifier_graph(merged, SHAPE, adapter.head_weight, adapter.head_bias)
    texts = [item.text for item in made_texts(40, 3)]
    answered = answers(open_session(graph), texts, trainer.tokenizer)
    trainer._load(trainer.average)
    trainer.model.eval()
    with torch.no_grad():
        rows = [trainer.tokenizer.encode(text).ids for text in texts]
        expected = np.concatenate([trainer.model(*pad_rows([row])).numpy() for row in rows])
    # The adapter is stored in half precision.
    assert np.abs(answered - expected).max() < 1e-2
    assert (answered.argmax(1) == expected.argmax(1)).all()


def test_full_trains_all_but_the_word_embeddings(base: Path, tmp_path: Path) -> None:
    trainer = trainer_of(base, replace(FULL, epochs=1), tmp_path)
    trainer.run(made_texts(200, 1), {})
    trainer.save_adapter(tmp_path / "a.safetensors", {})
    kept = load_file(tmp_path / "a.safetensors")
    original = load_file(base / "model.safetensors")
    assert set(original) - set(kept) == {"embeddings.word_embeddings.weight"}
    assert set(kept) - set(original) == {"head.weight", "head.bias"}
    changed = {
        n for n in original if n in kept and not np.allclose(kept[n], original[n], atol=1e-4)
    }
    assert {name.split(".")[2] for name in changed if name.startswith("encoder")} == {"0", "1"}


def test_without_a_gpu_qlora_says_so_before_anything_is_loaded(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the training side is not installed")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    from engines.network import Classifier

    with pytest.raises(EngineError, match=r"qlora needs a GPU.*--method lora"):
        Classifier(tmp_path / "no-base", 2, replace(LORA, method="qlora"))


@pytest.mark.parametrize("plain", [LORA, FULL], ids=["lora", "full"])
def test_checkpointing_changes_memory_and_nothing_else(
    base: Path, plain: Recipe, tmp_path: Path
) -> None:
    trained = []
    for checkpointing in (False, True):
        recipe = replace(plain, epochs=1, gradient_checkpointing=checkpointing)
        trainer = trainer_of(base, recipe, tmp_path / str(checkpointing))
        found = {getattr(each, "gradient_checkpointing", False) for each in trainer.model.modules()}
        assert (True in found) is checkpointing
        trainer.run(made_texts(200, 1), {})
        trained.append(trainer.average)
    for name, value in trained[0].items():
        assert np.allclose(value.numpy(), trained[1][name].numpy(), atol=1e-6), name


def judged_as(base: Path, recipe: Recipe, work: Path, values: list[float]) -> Any:
    """A trainer whose macro F1 after each epoch is given."""
    from engines.trainer import Trainer

    class Judging(Trainer):
        def judge(self, texts: list[LabelledText]) -> Judged:
            return Judged(0.5, values[self.epoch - 1], 1.0)

    return Judging(base, LABELS, recipe, work)


def test_it_stops_when_patience_is_through_and_keeps_the_best(base: Path, tmp_path: Path) -> None:
    recipe = replace(LORA, epochs=8, patience=2)
    averages = {}

    def remember(record: dict[str, Any]) -> None:
        averages[record["epoch"]] = trainer.average["head.weight"].clone()

    trainer = judged_as(base, recipe, tmp_path, [0.5, 0.8, 0.7, 0.8, 0.9, 0.9, 0.9, 0.9])
    history = trainer.run(made_texts(200, 1), {"some": made_texts(10, 2)}, remember)
    assert [record["epoch"] for record in history] == [1, 2, 3, 4]
    assert [record["macro_f1"] for record in history] == [0.5, 0.8, 0.7, 0.8]
    assert trainer.best.epoch == 2
    assert np.array_equal(trainer.average["head.weight"], averages[2])
    assert not np.array_equal(averages[2], averages[4])


def test_patience_outlives_an_interruption(base: Path, tmp_path: Path) -> None:
    values = [0.5, 0.8, 0.7, 0.6, 0.9]
    recipe = replace(LORA, epochs=5, patience=2)
    texts, some = made_texts(200, 1), {"some": made_texts(10, 2)}

    def interrupt(record: dict[str, Any]) -> None:
        if record["epoch"] == 3:
            raise KeyboardInterrupt

    whole = judged_as(base, recipe, tmp_path / "whole", values)
    whole.run(texts, some)
    with pytest.raises(KeyboardInterrupt):
        judged_as(base, recipe, tmp_path / "parts", values).run(texts, some, interrupt)
    for _ in range(2):  # the second has nothing left to do
        resumed = judged_as(base, recipe, tmp_path / "parts", values)
        assert len(resumed.run(texts, some)) == 4
        for name, value in whole.average.items():
            assert np.array_equal(value, resumed.average[name]), name


def test_patience_needs_something_to_go_by(base: Path, tmp_path: Path) -> None:
    trainer = trainer_of(base, replace(LORA, patience=1), tmp_path)
    with pytest.raises(DataError, match="without validation texts"):
        trainer.run(made_texts(50, 1), {})


def rare_texts(count: int, seed: int) -> list[LabelledText]:
    """One in twenty is positive. All of those say "good", as a tenth of the others do."""
    chance = random.Random(seed)
    texts = []
    for index in range(count):
        label = int(index % 20 == 0)
        says_good = label or chance.random() < 0.1
        words = [chance.choice(["film", "term", "the", "a"]) for _ in range(6)]
        words[chance.randrange(6)] = "good" if says_good else "bad"
        texts.append(LabelledText(" ".join(words), label))
    return texts


def test_weighted_labels_find_the_rare_one(base: Path, tmp_path: Path) -> None:
    found = {}
    unseen = [item for item in rare_texts(400, 2) if item.label == 1]
    for weighted in (False, True):
        recipe = replace(LORA, epochs=4, class_weights=weighted)
        trainer = trainer_of(base, recipe, tmp_path / str(weighted))
        trainer.run(rare_texts(800, 1), {})
        found[weighted] = trainer.judge(unseen).accuracy
    assert found[False] < 0.1
    assert found[True] > 0.9


def test_weights_need_texts_of_every_label(base: Path, tmp_path: Path) -> None:
    from engines.trainer import Trainer

    recipe = replace(LORA, class_weights=True)
    trainer = Trainer(base, (*LABELS, "neutral"), recipe, tmp_path)
    with pytest.raises(DataError, match="none of neutral"):
        trainer.run(made_texts(50, 1), {})


def test_a_temperature_divides_what_is_saved(base: Path, tmp_path: Path) -> None:
    trainer = trainer_of(base, replace(LORA, epochs=1), tmp_path)
    trainer.run(made_texts(200, 1), {})
    texts = [item.text for item in made_texts(30, 2)]
    before = trainer.logits(texts)
    trainer.divide_logits(2.0)
    assert np.allclose(trainer.logits(texts), before / 2, atol=2e-2)
    trainer.save_adapter(tmp_path / "a.safetensors", {})
    saved = load_file(tmp_path / "a.safetensors")
    assert np.allclose(saved["head.bias"], trainer.average["head.bias"].numpy(), atol=1e-3)


def test_a_full_disk_keeps_the_epoch_before(base: Path, tmp_path: Path) -> None:
    import resource

    from engines.training_state import FILE

    trainer = trainer_of(base, LORA, tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(record: dict[str, Any]) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))

    try:
        with pytest.raises(EngineError, match=rf"cannot write the checkpoint .*{FILE}"):
            trainer.run(made_texts(200, 1), {}, fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    history = trainer_of(base, LORA, tmp_path).run(made_texts(200, 1), {})
    assert [record["epoch"] for record in history] == [1, 2, 3]
    assert not (tmp_path / CARD_FILE).exists()
