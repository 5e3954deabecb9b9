"""What people rate summaries by, and the key that says whose summary stands where.

Raters get a sheet and the documents; the key stays with whoever asked them, so that they do not
know which engine wrote what.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engines.errors import DataError

CRITERIA = ("consistency", "coverage", "concision")
LOWEST, HIGHEST = 1, 5
ITEM, COMMENT = "item", "comment"
COLUMNS = (ITEM, "document", "summary", *CRITERIA, COMMENT)

GUIDE = """\
How to fill in the sheet
========================

Every row of sheet.csv is one summary of one document; the documents lie in documents/.
Some documents are summarized twice. Rate each summary by itself, beside its document, and
do not talk about it with other raters before all are done.

Write a whole number from 1 to 5 into each of the three columns:

consistency   Does the summary say what the document says?
  5  nothing in it is wrong or misleads, as it stands there
  3  one statement misleads without the sentences around it
  1  a reader of the summary alone would believe something wrong

coverage      Does it have what someone who needs the document has to know?
  5  nothing that matters is missing
  3  about half of what matters is there
  1  what matters is not there

concision     Is everything in it worth its place?
  5  nothing could go, nothing is said twice
  3  about a third could go
  1  most of it could go

2 and 4 lie between. Leave a field empty where you cannot judge, and say why under comment.
Leave the column item and the first row as they are; rows may be sorted. Save as CSV.
"""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RatedEngine(_Record):
    """An engine whose summaries are in a sheet."""

    name: str
    version: str
    engine_sha256: str


class Item(_Record):
    """One row of the sheet. Engines that chose the same sentences share it."""

    document: str = Field(description="its file below documents/")
    row: int = Field(description="its line in the data")
    engines: tuple[str, ...]
    sentences: tuple[int, ...] = Field(description="indices of the chosen ones")


class Key(_Record):
    """Whose summary each item of a sheet is."""

    kind: Literal["sub50 rubric key"] = "sub50 rubric key"
    engines: tuple[RatedEngine, ...]
    data: str
    data_sha256: str
    length: str
    seed: int
    items: dict[str, Item]


def read_key(path: Path) -> Key:
    """Read the key of a sheet.

    Raises:
        DataError: it is missing or is no key.
    """
    try:
        return Key.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"cannot read the key {path}: {error.strerror}; it was written beside for-raters/"
        ) from error
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise DataError(
            f"{path} is not the key of a rubric sheet (field {where or 'of any kind'}: "
            f"{error.errors()[0]['msg']}); give the key first, then the sheets"
        ) from error
