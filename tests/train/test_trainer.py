"""The training loop on data made here: it learns, it resumes, it repeats itself."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from engines.data import LabelledText
from engines.errors import DataError

LABELS = ("negative", "positive")


def made_texts(count: int, seed: int) -> list[LabelledText]:
    chance = random.Random(seed)
    texts = []
    for _ in range(count):
        label = chance.randint(0, 1)
        words = [chance.choice(["film", "term", "the", "a"]) for _ in range(chance.randint(1, 20))]
        words.insert(chance.randint(0, len(words)), ("bad", "good")[label])
        texts.append(LabelledText(" ".join(words), label))
    return texts


@pytest.fixture
def recipe() -> Any:
    from engines.recipe import Recipe

    return Recipe(epochs=3, max_tokens=32, learning_rate=5e-3, tokens_per_batch=512)


def trained(base: Path, recipe: Any, work: Path) -> tuple[Any, list[dict[str, Any]]]:
    from engines.trainer import Trainer

    trainer = Trainer(base, LABELS, recipe, work)
    history = trainer.run(made_texts(600, 1), {"unseen": made_texts(200, 2)})
    return trainer, history


def saved(trainer: Any, path: Path) -> dict[str, np.ndarray]:
    trainer.save_adapter(path, {"alpha": 32, "rank": 16, "labels": LABELS})
    return load_file(path)


def test_it_learns_and_only_adapter_and_head_are_kept(
    base: Path, recipe: Any, tmp_path: Path
) -> None:
    trainer, history = trained(base, recipe, tmp_path)
    assert [record["epoch"] for record in history] == [1, 2, 3]
    assert history[-1]["unseen"] > 0.9
    tensors = saved(trainer, tmp_path / "adapter.safetensors")
    assert all("lora_" in name or name.startswith("head.") for name in tensors)
    assert tensors["head.weight"].shape == (2, 32)
    key = "base_model.model.encoder.layer.1.attention.self.query.lora_A.weight"
    assert tensors[key].shape == (16, 32)
    assert {tensor.dtype.name for tensor in tensors.values()} == {"float16"}


def test_the_same_seed_gives_the_same_adapter(base: Path, recipe: Any, tmp_path: Path) -> None:
    first, _ = trained(base, recipe, tmp_path / "a")
    second, _ = trained(base, recipe, tmp_path / "b")
    one = saved(first, tmp_path / "a.safetensors")
    other = saved(second, tmp_path / "b.safetensors")
    assert all(np.array_equal(one[name], other[name]) for name in one)
    files = [(tmp_path / f"{name}.safetensors").read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]


def test_an_interrupted_run_goes_on_to_the_same_end(
    base: Path, recipe: Any, tmp_path: Path
) -> None:
    from engines.trainer import Trainer

    whole, _ = trained(base, recipe, tmp_path / "whole")

    class Interrupted(Exception):
        pass

    class Stopping(Trainer):
        def _checkpoint(self, history: list[dict[str, Any]]) -> None:
            super()._checkpoint(history)
            if self.epoch == 2:
                raise Interrupted

    stopping = Stopping(base, LABELS, recipe, tmp_path / "parts")
    with pytest.raises(Interrupted):
        stopping.run(made_texts(600, 1), {})
    resumed, history = trained(base, recipe, tmp_path / "parts")
    assert [record["epoch"] for record in history] == [1, 2, 3]
    one = saved(whole, tmp_path / "whole.safetensors")
    other = saved(resumed, tmp_path / "parts.safetensors")
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_checkpoint_of_another_recipe_is_refused(base: Path, recipe: Any, tmp_path: Path) -> None:
    trained(base, replace(recipe, epochs=1), tmp_path)
    with pytest.raises(DataError, match="another recipe"):
        trained(base, replace(recipe, epochs=1, seed=51), tmp_path)


def test_one_label_is_nothing_to_learn(base: Path, recipe: Any, tmp_path: Path) -> None:
    from engines.trainer import Trainer

    same = [item for item in made_texts(50, 1) if item.label == 0]
    with pytest.raises(DataError, match="two labels"):
        Trainer(base, LABELS, recipe, tmp_path).run(same, {})
