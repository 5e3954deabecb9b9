"""Imports a checkpoint: check, export, compare, quantize, gate, write. One line each.

The model's folder appears, or is replaced, whole, only after the gate has passed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import onnx
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from core.card import ENGINE_FILE, TOKENIZER_FILE, EngineCard, write_card
from core.tokenizer import TextTokenizer
from engines import gate
from engines.calibrate import channel_ranges
from engines.catalog import CATALOG, spec_of
from engines.checkpoint import Checkpoint, read_checkpoint
from engines.errors import EngineError
from engines.hub import checkpoint_folder
from engines.import_measure import ImportedExaminer, Texts, texts_for
from engines.import_record import imported_card
from engines.linear_layers import find_layers, with_shared_ranges
from engines.measure import open_session
from engines.model_config import CONFIG_FILE, untuned_text, write_model_files
from engines.model_name import require_name
from engines.plain_graph import require_plain
from engines.room import full_disk_told
from engines.sensitivity import Quantized, best_engine
from engines.sentencepiece_convert import write_converted_tokenizer
from engines.simplify import simplified
from engines.training_side import needing

VERSION = "1"


@dataclass(frozen=True)
class Import:
    """What to import, and how.

    Attributes:
        source: a checkpoint's folder, or its id on the Hugging Face hub.
        name: what the model is to be called.
        labels: names of the labels, instead of those in config.json.
        data: labelled texts (JSON lines or CSV) to calibrate with and measure accuracy on.
        force: replace a model of that name.
    """

    source: str
    name: str
    labels: tuple[str, ...] = ()
    data: Path | None = None
    force: bool = False


def import_checkpoint(asked: Import, repository: Path) -> EngineCard:
    """Make a checkpoint a model of the repository; returns its card.

    Raises:
        EngineError: the checkpoint, the name or the data is not what it should be, or the gate
            refuses; the repository is then as it was.
    """
    require_free_name(asked.name, repository, asked.force)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console) as progress:
        step = progress.add_task(f"{asked.name}: finding the checkpoint", total=1)

        def told(text: str) -> None:
            progress.update(step, description=f"{asked.name}: {text}")

        folder = checkpoint_folder(asked.source)
        checkpoint = read_checkpoint(folder, asked.source, asked.labels)
        for note in checkpoint.notes:
            console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
        texts = texts_for(checkpoint.labels, checkpoint.problem_type, asked.data)
        try:
            with full_disk_told(repository, _most_bytes(checkpoint)):
                card = _staged(asked, checkpoint, texts, repository, told)
        except OSError as error:
            raise EngineError(
                f"cannot write below {repository}: {error.strerror or error}; nothing was changed"
            ) from error
        progress.update(step, completed=1, description=f"{asked.name}: imported, gate passed")
    return card


def _most_bytes(checkpoint: Checkpoint) -> int:
    """What its engine and tokenizer may take at most: as much as they do unquantized."""
    return sum((checkpoint.folder / name).stat().st_size for name in checkpoint.files)


def require_free_name(name: str, repository: Path, force: bool) -> None:
    """Raise EngineError unless a model of that name can be written."""
    require_name(name, "--name")
    if force:
        return
    if name in CATALOG:
        raise EngineError(
            f"--name {name}: that is one of the default models; choose another name, or replace "
            "it with --force"
        )
    if (repository / name).exists():
        raise EngineError(
            f"--name {name}: {repository / name} exists; choose another name, or replace it "
            "with --force"
        )


def _staged(
    asked: Import,
    checkpoint: Checkpoint,
    texts: Texts,
    repository: Path,
    told: Callable[[str], None],
) -> EngineCard:
    """Make the model in a folder of its own, then put it in its place."""
    repository.mkdir(parents=True, exist_ok=True)
    # Two levels deep, where neither Triton nor the service looks for models.
    work = Path(tempfile.mkdtemp(prefix=".importing-", dir=repository))
    try:
        staged = work / asked.name
        card = _make(asked.name, checkpoint, texts, staged, told)
        # Another import may have been faster.
        require_free_name(asked.name, repository, asked.force)
        _put(staged, repository / asked.name, work / "retired")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return card


def _make(
    name: str,
    checkpoint: Checkpoint,
    texts: Texts,
    folder: Path,
    told: Callable[[str], None],
) -> EngineCard:
    """Write the whole model into `folder`; raises before the card if the gate refuses."""
    export = export_module()
    version = folder / VERSION
    version.mkdir(parents=True)
    tokenizer = written_tokenizer(export, checkpoint, version / TOKENIZER_FILE)
    rows = [tokens.ids for tokens in tokenizer.encode(texts.calibration)]
    told("exporting, and comparing with PyTorch")
    reference, difference = exported(export, checkpoint, rows)
    found = _quantized(checkpoint, tokenizer, reference, rows, texts, told)
    gate.require(name, found.findings.verdict)
    onnx.save(found.model, version / ENGINE_FILE)
    require_plain(version / ENGINE_FILE)
    told("measuring time and memory")
    card = imported_card(name, checkpoint, found, version, reference, difference)
    write_card(card, version)
    _write_config(card, folder)
    return card


def export_module() -> ModuleType:
    """What exports checkpoints.

    Raises:
        EngineError: PyTorch or transformers are missing.
    """
    with needing("importing", "PyTorch and transformers"):
        from engines import export
    return export


def written_tokenizer(export: ModuleType, checkpoint: Checkpoint, path: Path) -> TextTokenizer:
    """Write the checkpoint's tokenizer to `path` as serving reads it."""
    if checkpoint.has_tokenizer_file:
        shutil.copyfile(checkpoint.folder / TOKENIZER_FILE, path)
    elif checkpoint.sentencepiece is not None:
        write_converted_tokenizer(checkpoint, checkpoint.sentencepiece, path)
    else:
        export.write_tokenizer(checkpoint, path)
    return TextTokenizer(path, checkpoint.max_tokens)


def exported(
    export: ModuleType, checkpoint: Checkpoint, rows: Sequence[list[int]]
) -> tuple[onnx.ModelProto, float]:
    """The unquantized graph, and how far its logits are from PyTorch's."""
    classifier = export.load_classifier(checkpoint)
    reference = simplified(export.export_graph(classifier, checkpoint))
    return reference, export.largest_difference(classifier, reference, rows[: export.COMPARED_ROWS])


def _quantized(
    checkpoint: Checkpoint,
    tokenizer: TextTokenizer,
    reference: onnx.ModelProto,
    rows: Sequence[list[int]],
    texts: Texts,
    told: Callable[[str], None],
) -> Quantized:
    told("calibrating")
    layers = find_layers(reference, max(rows, key=len))
    if not layers:
        raise EngineError(
            f"no linear layers were found in the graph of {checkpoint.architecture}; nothing "
            "would run in INT8"
        )
    ranges = with_shared_ranges(layers, channel_ranges(reference, rows))
    examiner = ImportedExaminer(checkpoint, tokenizer, open_session(reference), texts)
    return best_engine(reference, layers, ranges, examiner, told)


def _write_config(card: EngineCard, folder: Path) -> None:
    write_model_files(spec_of(card), folder.parent)
    (folder / CONFIG_FILE).write_text(untuned_text(card), encoding="utf-8")


def _put(staged: Path, target: Path, retired: Path) -> None:
    """Put the finished folder in the place of the one that is served, or leave that one there."""
    staged.chmod(0o755)  # Triton may run as another user
    if not target.exists():
        staged.rename(target)
        return
    target.rename(retired)
    try:
        staged.rename(target)
    except BaseException:
        retired.rename(target)
        raise
