"""Parquet and Arrow files, as Hugging Face's data sets come, read with pyarrow.

pyarrow alone reads both; Hugging Face's own library would bring pandas and seven more packages to
do it. It is imported when such a file is met.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engines.errors import DataError

# Where Hugging Face's library writes what its columns mean.
METADATA = b"huggingface"


def parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a Parquet file, numbered from 1, with those of `columns` that it has.

    Raises:
        DataError: pyarrow is missing, a column is, or the file is not Parquet.
    """
    file = _opened_parquet(path)
    _require_columns(path, file.schema_arrow.names, columns)
    yield from _numbered(path, file.iter_batches(columns=list(columns)))


def arrow_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of an Arrow stream, numbered from 1, with those of `columns` that it has.

    Raises:
        DataError: pyarrow is missing, a column is, or the file is not an Arrow stream.
    """
    with path.open("rb") as source:
        stream = _opened_stream(path, source)
        _require_columns(path, stream.schema.names, columns)
        yield from _numbered(path, (batch.select(list(columns)) for batch in stream))


def parquet_class_names(path: Path, column: str) -> tuple[str, ...] | None:
    """The names of a numbered label column, or None where the file has none."""
    return _class_names(_opened_parquet(path).schema_arrow.metadata, column)


def arrow_class_names(path: Path, column: str) -> tuple[str, ...] | None:
    """The names of a numbered label column, or None where the file has none."""
    with path.open("rb") as source:
        return _class_names(_opened_stream(path, source).schema.metadata, column)


def _numbered(path: Path, record_batches: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    pyarrow = _pyarrow()
    number = 0
    try:
        for batch in record_batches:
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read after row {number}: {error}") from error


def _opened_parquet(path: Path) -> Any:
    pyarrow = _pyarrow()
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a Parquet file: {error}") from error


def _opened_stream(path: Path, source: Any) -> Any:
    pyarrow = _pyarrow()
    try:
        return pyarrow.ipc.open_stream(source)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} is not an Arrow stream: {error}") from error


def _require_columns(path: Path, there: Sequence[str], columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in there]
    if missing:
        raise DataError(
            f"{path}: no column {' and '.join(missing)}; those there are {', '.join(there)}. "
            "Name the right ones with --text-column and --label-column"
        )


def _class_names(metadata: dict[bytes, bytes] | None, column: str) -> tuple[str, ...] | None:
    try:
        features = json.loads((metadata or {})[METADATA])["info"]["features"]
        return tuple(str(name) for name in features[column]["names"])
    except (KeyError, ValueError, TypeError):
        return None


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise DataError(
            f"Parquet and Arrow files need pyarrow ({error}): `pip install 'sub50[datasets]'`, or "
            "give the data as CSV or JSON lines"
        ) from error
    return pyarrow
