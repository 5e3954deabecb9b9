"""A checkpoint's folder: one that is named, or one fetched from the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from engines.checkpoint import VOCABULARY_FILES
from engines.errors import CheckpointError
from engines.sentencepiece_model import READERS

# Weights as safetensors, JSON, and vocabularies: never pickles, never code.
ALLOWED = ("*.safetensors", "*.json", *VOCABULARY_FILES, *READERS.values(), "merges.txt")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


def checkpoint_folder(source: str) -> Path:
    """The folder that `source` names: a path, or else a model's id on the hub.

    Raises:
        CheckpointError: there is no such folder, and the hub has no such model or is out of reach.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise CheckpointError(f"{path} is a file; name the folder that it lies in")
    if not HUB_ID.fullmatch(source):
        raise CheckpointError(f"no folder {path}; name one that save_pretrained wrote")
    return _fetched(source)


def _fetched(hub_id: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise CheckpointError(
            f"no folder {hub_id}, and huggingface_hub, which would fetch it, is not installed: "
            "`pip install 'sub50[train]'`"
        ) from error
    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(ALLOWED)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        said = str(error).strip().splitlines()
        raise CheckpointError(
            f"no folder {hub_id}, and the hub did not give a model of that name "
            f"({said[0] if said else type(error).__name__}); check the name and the network, or "
            "download the checkpoint elsewhere and name its folder"
        ) from error
