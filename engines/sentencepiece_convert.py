"""Makes tokenizer.json from a SentencePiece model, by transformers' own converter.

In a process of its own: a file that is made to crash its reader, or to fill the memory, ends that
process and not this one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from core.card import TOKENIZER_FILE
from engines.checkpoint import Checkpoint, check_tokenizer
from engines.errors import CheckpointError
from engines.sentencepiece_model import SentencePieceModel

ROOT = Path(__file__).resolve().parent.parent
# The largest in use, of a million pieces, takes 19 MB.
MOST_BYTES = 64_000_000
MOST_SECONDS = 300.0
QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}


def write_converted_tokenizer(
    checkpoint: Checkpoint, model: SentencePieceModel, target: Path
) -> None:
    """Write tokenizer.json to `target`, made from the checkpoint's SentencePiece model.

    Nothing is written into the checkpoint's folder.

    Raises:
        CheckpointError: the file is corrupt, or of a kind that cannot be converted.
    """
    size = model.path.stat().st_size
    if size > MOST_BYTES:
        raise CheckpointError(
            f"{model.path} has {size / 1e6:.0f} MB; a SentencePiece model of more than "
            f"{MOST_BYTES / 1e6:.0f} MB is not read"
        )
    with tempfile.TemporaryDirectory(prefix="sub50-tokenizer-") as name:
        work = Path(name)
        for file in model.files:
            shutil.copyfile(file, work / file.name)
        _convert(model, work, checkpoint.vocabulary)
        made = work / TOKENIZER_FILE
        try:
            check_tokenizer(made, checkpoint.vocabulary)
        except CheckpointError as error:
            # The user has another file than the one that the check names.
            theirs = f"{TOKENIZER_FILE} made from {model.path}"
            raise CheckpointError(str(error).replace(str(made), theirs)) from error
        shutil.copyfile(made, target)


def _convert(model: SentencePieceModel, work: Path, vocabulary: int) -> None:
    command = [sys.executable, "-m", "engines.sentencepiece_reader"]
    command += [str(work / model.path.name), model.reader, str(vocabulary)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=MOST_SECONDS,
            check=False,
            cwd=ROOT,
            env=os.environ | QUIET,
        )
    except subprocess.TimeoutExpired as error:
        raise CheckpointError(
            f"{model.path}: making {TOKENIZER_FILE} from it took longer than {MOST_SECONDS:.0f} s"
        ) from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"its reader ended with {done.returncode}"]
        raise CheckpointError(f"{model.path} cannot be made a {TOKENIZER_FILE}: {said[-1]}")
