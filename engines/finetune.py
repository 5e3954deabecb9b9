"""Train a default model's adapter: `python -m engines.finetune TASK --data DIR`. Needs the `train`
extra. A team's own data set is trained on by `sub50 engines finetune` (engines/finetuning.py).

Reads the task's data, keeps back what checks the training, trains, and writes the adapter with
its record: `engines/adapters/<task>/adapter.safetensors` and `card.json`. A run that was
interrupted goes on after its last epoch.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from engines.adapter_files import write_adapter
from engines.base import ensure_base
from engines.checksums import file_sha256
from engines.contracts import CONTRACTS, read_contract_validation, training_sentences
from engines.data import LabelledText, hold_out, hold_out_sentences, read_labelled
from engines.errors import EngineError
from engines.merge import ADAPTERS
from engines.network import use_threads
from engines.recipe import Recipe
from engines.tasks import TASKS, Task
from engines.trainer import Trainer

TRAIN, VALIDATION = "train.jsonl.gz", "validation.jsonl.gz"
HELD_OUT_ROWS = 1000
HELD_OUT_SENTENCES = 200
LEAST_WORDS = 12

Split = tuple[list[LabelledText], dict[str, list[LabelledText]]]


def read_task(task: Task, data: Path, seed: int) -> Split:
    """Training texts, and validation texts by name, of a task.

    A source named in `held_out` has no validation file to spare, because that file is what
    figures are quoted on: a part of its training texts checks the training instead. A text that
    validates is never trained on, whichever source it comes from.

    Raises:
        DataError: a file is missing or malformed.
    """
    train: list[LabelledText] = []
    validation: dict[str, list[LabelledText]] = {}
    for source in task.sources:
        folder = data / source
        if source == CONTRACTS:
            texts = training_sentences(folder / TRAIN, task.negatives_per_positive, seed)
            validation[source] = read_contract_validation(folder / VALIDATION)
        else:
            texts = read_labelled(folder / TRAIN, task.labels)
            if source in task.phrases:
                texts, validation[source] = hold_out_sentences(
                    texts, HELD_OUT_SENTENCES, LEAST_WORDS, seed
                )
            elif source in task.held_out:
                share = min(0.5, HELD_OUT_ROWS / len(texts))
                texts, validation[source] = hold_out(texts, share, seed)
            else:
                validation[source] = read_labelled(folder / VALIDATION, task.labels)
        train += texts
    unseen = {item.text for texts in validation.values() for item in texts}
    return [item for item in train if item.text not in unseen], validation


def finetune(task: Task, data: Path, base: Path, work: Path, out: Path) -> dict[str, Any]:
    """Train `task` and write adapter and record into `out`; returns the record.

    `work` keeps the checkpoint from which an interrupted run goes on.

    Raises:
        EngineError: data or base are not what they should be.
    """
    recipe = replace(Recipe(task.epochs, task.max_tokens), **task.changes)
    train, validation = read_task(task, data, recipe.seed)
    trainer = Trainer(base, task.labels, recipe, work)
    history = trainer.run(train, validation)
    about = {
        "data": {source: checksums(data / source) for source in task.sources},
        "training_texts": len(train),
        "history": history,
        "notes": list(task.notes),
    }
    return write_adapter(trainer, task.name, about, base, out)


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every data file of a folder, by name."""
    return {path.name: file_sha256(path) for path in sorted(folder.glob("*.jsonl*"))}


def main(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(TASKS)}.")],
    data: Annotated[Path, typer.Option(help="Folder with the task's data folders.")],
    base: Annotated[Path | None, typer.Option(help="Folder of the base encoder.")] = None,
    work: Annotated[Path, typer.Option(help="Where checkpoints are kept.")] = Path("runs"),
    out: Annotated[Path, typer.Option(help="Where adapters are written.")] = ADAPTERS,
    threads: Annotated[int, typer.Option(help="PyTorch's threads; 0 takes every core.")] = 0,
) -> None:
    """Train the adapter of one task."""
    console = Console()
    if name not in TASKS:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(TASKS)}")
    use_threads(threads)
    try:
        record = finetune(TASKS[name], data, ensure_base(base), work / name, out / name)
    except EngineError as error:
        console.print(f"error: {error}", style="bold red", markup=False)
        raise typer.Exit(1) from None
    console.print_json(data={key: record[key] for key in ("history", "adapter_sha256")})


if __name__ == "__main__":
    typer.run(main)
