"""Whether an engine file is one that may be served, said as an error of this side."""

from __future__ import annotations

from pathlib import Path

from core.onnx_file import EngineFileError, check_engine_file
from engines.errors import EngineError


def require_plain(path: Path) -> None:
    """Raise EngineError unless a file is plain ONNX, all of it in that file."""
    try:
        check_engine_file(path)
    except EngineFileError as error:
        raise EngineError(str(error)) from error
