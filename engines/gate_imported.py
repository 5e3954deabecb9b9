"""Measures an imported engine again, against the checkpoint that it was imported from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.card import TOKENIZER_FILE, EngineCard
from core.tokenizer import TextTokenizer
from engines.checkpoint import Checkpoint, read_checkpoint
from engines.errors import CheckpointError, EngineError
from engines.examiner import Findings
from engines.hub import checkpoint_folder
from engines.import_measure import ImportedExaminer, texts_for
from engines.importing import export_module
from engines.measure import Engine, open_session
from engines.simplify import simplified


def examine_imported(
    card: EngineCard, version: Path, data: Path | None, opened: Callable[[], Engine]
) -> Findings:
    """What an engine of a version folder, once `opened`, does to the answers, and the gate's word.

    `data` is a file of labelled texts, as for the import.

    Raises:
        EngineError: the checkpoint is not there any more, or not the one that was imported; or
            PyTorch, which has to export it anew, is not installed.
    """
    checkpoint = same_checkpoint(card)
    export = export_module()
    reference = simplified(export.export_graph(export.load_classifier(checkpoint), checkpoint))
    tokenizer = TextTokenizer(version / TOKENIZER_FILE, checkpoint.max_tokens)
    texts = texts_for(checkpoint.labels, checkpoint.problem_type, data)
    examiner = ImportedExaminer(checkpoint, tokenizer, open_session(reference), texts)
    return examiner.examine(opened())


def same_checkpoint(card: EngineCard, source: Path | None = None) -> Checkpoint:
    """The checkpoint with the files that the card says, where the card says or at `source`.

    Raises:
        EngineError: it is not there any more, or not the one that was imported.
    """
    which = f"version {card.version} of {card.name}"
    try:
        folder = source or checkpoint_folder(card.base)
        checkpoint = read_checkpoint(folder, card.base, card.labels)
    except CheckpointError as error:
        raise EngineError(
            f"{which} was imported from {card.base}, and there is nothing to measure it against "
            f"without that: {error}. Its card says what its own gate found"
        ) from error
    recorded: Any = (card.imported or {}).get("files")
    expected = recorded if isinstance(recorded, dict) else {}
    changed = sorted(
        name
        for name in expected.keys() | checkpoint.files.keys()
        if expected.get(name) != checkpoint.files.get(name)
    )
    if changed:
        raise EngineError(
            f"{folder} is not what {which} was imported from: {', '.join(changed)} changed since. "
            "Import it again, or put the checkpoint back"
        )
    return checkpoint
