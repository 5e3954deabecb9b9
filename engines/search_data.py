"""What a search trains on and is judged by: a default task's data, or a team's data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engines.dataset import read_dataset
from engines.errors import DataError
from engines.finetune import checksums, read_task
from engines.finetuning import Reading
from engines.recipe import Recipe
from engines.search import SearchData
from engines.tasks import TASKS

# As `sub50 engines finetune` trains, but for its patience: how many epochs is searched for.
EPOCHS, MAX_TOKENS = 4, 256


def read_search_data(name: str, path: Path, reading: Reading) -> tuple[SearchData, Recipe]:
    """The data of a search and the recipe to beat.

    Args:
        name: a default task, or what a team calls its data set.
        path: the folder with the task's data folders, or the data set.
        reading: how a data set is read.

    Raises:
        DataError: the name is none, or the data are missing or malformed.
    """
    if name in TASKS:
        task = TASKS[name]
        recipe = replace(Recipe(task.epochs, task.max_tokens), **task.changes)
        train, validation = read_task(task, path, recipe.seed)
        sums = {source: checksums(path / source) for source in task.sources}
        return SearchData(name, task.labels, train, validation, sums), recipe
    if not name.replace("-", "").replace("_", "").isalnum():
        raise DataError(
            f"{name!r} cannot be a study's name: use letters, digits, '_' and '-', or one of the "
            f"default tasks {', '.join(TASKS)}"
        )
    if any((path / task / "train.jsonl.gz").is_file() for task in TASKS):
        raise DataError(
            f"{path} holds the data of the default tasks {', '.join(TASKS)}, and {name} is none of "
            "them; name one, or pass --data with your data set"
        )
    recipe = Recipe(EPOCHS, MAX_TOKENS)
    found = read_dataset(
        path,
        validation_share=reading.validation_share,
        seed=recipe.seed,
        text_column=reading.text_column,
        label_column=reading.label_column,
        labels=reading.labels or None,
    )
    validation = {name: found.validation}
    return SearchData(name, found.labels, found.train, validation, found.checksums), recipe
