"""Libraries that are loaded into every process of a service, and change what calls to it do."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from chaos.errors import ChaosError, NotHere


def compiled(source: Path, folder: Path, strings: Mapping[str, Path]) -> Path:
    """Compile a library from C into `folder`; returns its path, which `LD_PRELOAD` takes.

    Args:
        source: the file in C.
        folder: where the library is written, under the name of the source.
        strings: names that the source knows, each with the path that it stands for.

    Raises:
        NotHere: there is no compiler.
        ChaosError: it cannot be compiled.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise NotHere(f"{source.stem} needs a C compiler: apt-get install gcc libc6-dev")
    library = folder / source.with_suffix(".so").name
    named = [f'-D{name}="{path}"' for name, path in strings.items()]
    built = subprocess.run(
        [compiler, "-O2", "-shared", "-fPIC", *named, "-o", library, source, "-ldl", "-pthread"],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        raise ChaosError(f"{source.name} cannot be compiled: {built.stderr}")
    return library
