"""The layout of a document: where a block of running text begins and ends.

A sentence splitter knows abbreviations, not pages. Blocks are what it is then run on: paragraphs,
headings, numbered clauses, list items and table rows. Line ends inside a block are white space.
Every step is linear in the document's length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

# What starts a clause or a list item: "Section 2.1.", "12.", "3.4.1", "(a)", "iv)", "B.", "•".
CLAUSE_MARKER = (
    r"(?:(?:(?:Section|SECTION|Sec\.|Article|ARTICLE|Art\.|Clause|CLAUSE|§{1,2})\s{0,4})"
    r"(?:\d{1,3}(?:\.\d{1,3}){0,5}|[IVXLC]{1,6})[.:)]{0,2}"
    r"|\(?\d{1,3}(?:\.\d{1,3}){1,5}[.)]{0,2}"
    r"|\(?\d{1,3}[.)]{1,2}"
    r"|\((?:[A-Za-z]{1,2}|[ivxlcIVXLC]{1,6})\)\.?"
    r"|(?:[a-z]|[ivx]{1,5})[.)]|(?:[A-Z]|[IVX]{1,5})[.)]"
    r"|[•·▪●○■◦‣])"
)
# Characters that end a line for str.splitlines; a form feed also ends the paragraph.
_LINE_ENDS = str.maketrans("\r\v\x1c\x1d\x1e\x85\u2028\u2029", "\n\n\f\f\f\n\n\f")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_LINE = re.compile(r"[^\n\f]+")
_MARKED_LINE = re.compile(rf"(?:{CLAUSE_MARKER}|[-–—*])\s")
_RUN_IN_CLAUSE = re.compile(
    # Converted documents put clauses behind a run of spaces instead of on a new line.
    rf"(?<!\s)\s{{2,}}(?!\s)(?={CLAUSE_MARKER}\s+[\"“(\[*]?[A-Z])"
    r"|(?<!\s)\s{4,}(?!\s)(?=[\"“(\[*]?[A-Z])"
)
_COLUMN_GAP = re.compile(r"(?<!\s)(?:\s{3,}|\t\s*)(?=\S)")
_GAP = re.compile(r"\s\s")
_HEADING_CHARACTERS = 120
_TABLE_ROW_CHARACTERS = 200
_CUT_LINE_CHARACTERS = 40
TEXT, HEADING, TABLE_ROW = range(3)


class Span(NamedTuple):
    """The half-open range [start, end) of a document, in code points of the Python string."""

    start: int
    end: int


def plain_copy(document: str) -> str:
    """The document, character for character, with line ends as `\\n` or `\\f` and no surrogates.

    Lone surrogates become U+FFFD, because libraries written in other languages refuse them. The
    copy is as long as the document, so that positions in one hold in the other.
    """
    ended = document.replace("\r\n", " \n").translate(_LINE_ENDS)
    return _LONE_SURROGATE.sub("\ufffd", ended)


def blocks(plain: str) -> Iterator[Span]:
    """Yield the stripped, non-empty blocks of a `plain_copy`, in order."""
    start = end = -1
    for paragraph in _paragraphs(plain):
        widest = max(line.end - line.start for line in paragraph)
        previous: Span | None = None
        kind = TEXT
        for line in paragraph:
            previous_kind, kind = kind, _kind(plain, line)
            if previous is None:
                apart = not _runs_on(plain, Span(start, end), line)
            elif kind == previous_kind == TEXT:
                apart = _is_new_line(plain, previous, line, widest)
            else:
                # A heading wrapped over two lines stays whole.
                wrapped = kind == previous_kind == HEADING
                apart = not wrapped or _MARKED_LINE.match(plain, line.start) is not None
            if apart:
                if start >= 0:
                    yield from _clauses(plain, Span(start, end))
                start = line.start
            previous, end = line, line.end
    if start >= 0:
        yield from _clauses(plain, Span(start, end))


def _paragraphs(plain: str) -> Iterator[list[Span]]:
    """Yield stripped, non-empty lines, grouped by blank lines and page breaks."""
    paragraph: list[Span] = []
    for found in _LINE.finditer(plain):
        line = found.group()
        stripped = line.strip()
        if not stripped:
            continue
        start = found.start() + len(line) - len(line.lstrip())
        if paragraph:
            gap = plain[paragraph[-1].end : start]
            if gap.count("\n") > 1 or "\f" in gap:
                yield paragraph
                paragraph = []
        paragraph.append(Span(start, start + len(stripped)))
    if paragraph:
        yield paragraph


def _runs_on(plain: str, block: Span, line: Span) -> bool:
    """Whether a page turned in mid-sentence: no full stop before the gap, lower case after it."""
    return (
        block.end - block.start >= _CUT_LINE_CHARACTERS
        and plain[line.start].islower()
        and (plain[block.end - 1].isalpha() or plain[block.end - 1] == ",")
        and not _MARKED_LINE.match(plain, line.start, line.end)
    )


def _is_new_line(plain: str, previous: Span, line: Span, widest: int) -> bool:
    """Whether the line end between two lines of text is a break, not a hard wrap."""
    if _MARKED_LINE.match(plain, line.start, line.end + 1):
        return True
    # A line far shorter than its neighbours was ended on purpose: addresses, signatures, titles.
    first = plain[line.start]
    ended_early = 2 * (previous.end - previous.start) < widest or widest < _CUT_LINE_CHARACTERS
    return ended_early and (first.isupper() or first.isdigit())


def _kind(plain: str, line: Span) -> int:
    if line.end - line.start > _TABLE_ROW_CHARACTERS:
        return TEXT
    text = plain[line.start : line.end]
    if len(text) <= _HEADING_CHARACTERS and text.isupper() and sum(map(str.isalpha, text)) > 2:
        return HEADING
    return TABLE_ROW if _has_columns(text) else TEXT


def is_table_row(plain: str, block: Span) -> bool:
    """Whether a block is a line of three or more columns, which has no sentences."""
    if block.end - block.start > _TABLE_ROW_CHARACTERS:
        return False
    text = plain[block.start : block.end]
    return "\n" not in text and _has_columns(text)


def _has_columns(text: str) -> bool:
    if text.count("|") > 1:
        return True
    return ("\t" in text or "   " in text) and len(_COLUMN_GAP.findall(text)) > 1


def _clauses(plain: str, block: Span) -> Iterator[Span]:
    """Cut a block where a clause starts behind a run of spaces."""
    if is_table_row(plain, block) or not _GAP.search(plain, block.start, block.end):
        yield block
        return
    cuts = [block.start]
    for gap in _RUN_IN_CLAUSE.finditer(plain, block.start, block.end):
        cuts += [gap.start(), gap.end()]
    cuts.append(block.end)
    for number, (start, end) in enumerate(pairwise(cuts)):
        if number % 2 == 0 and start < end:
            yield Span(start, end)
