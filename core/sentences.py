"""Sentences of a document, as positions in it.

`sentencex` (Wikimedia) finds the sentence ends inside blocks of running text; `core.blocks` finds
the blocks. Serving, training and evaluation must split alike: what a model scores is what it
was taught.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import sentencex

from core.blocks import CLAUSE_MARKER, Span, blocks, is_table_row, plain_copy

__all__ = ["MAX_SENTENCE_BYTES", "Span", "split_sentences"]

# In UTF-8: about 200 tokens of English, 330 characters and tokens of Chinese. Far enough from the
# encoder's 512 that hardly a sentence is cut off unseen.
MAX_SENTENCE_BYTES = 1000
_MIN_PIECE_CHARACTERS = 200
# sentencex takes quadratic time over runs of apostrophes and of full-width stops.
_WINDOW_CHARACTERS = 4096

_WHITE_SPACE = re.compile(r"\s")
# A numbered title, which belongs to the sentence behind it: "2.1 Term.", "12. Governing Law.".
_ONLY_MARKER = re.compile(rf"(?:{CLAUSE_MARKER}\s{{1,4}}){{0,2}}{CLAUSE_MARKER}(?=\s|$)")
_RUN_IN_TITLE = re.compile(rf"{_ONLY_MARKER.pattern}\s{{1,4}}(?P<title>\S[^.;:]{{0,79}})[.:]+")
_MAX_TITLE_WORDS = 8
_SMALL_TITLE_WORDS = frozenset(
    ("a", "an", "and", "as", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with")
)
# Never the end of a sentence.
_OPEN_ABBREVIATION = re.compile(
    r"(?<![A-Za-z])(?:Mr|Mrs|Ms|Dr|Prof|St|Messrs|Hon|Rev|Gen|Nos?|Secs?|Arts?|Par|Paras?|Figs?"
    r"|Vol|Exh?|Attn|vs?|e\.g|i\.e|cf|et al|approx|incl|pp?)\.$",
    re.IGNORECASE,
)
# The end of a sentence only where a word follows that opens one.
_COMPANY_ABBREVIATION = re.compile(
    r"(?<![A-Za-z])(?:Inc|Corp|Ltd|Co|Bros|L\.?L\.?C|L\.?P|N\.A|S\.A|B\.V|Jr|Sr|etc|U\.S|U\.K"
    r"|D\.C|a\.m|p\.m)\.$",
    re.IGNORECASE,
)
_OPENING_WORD = re.compile(
    r"(?:The|This|These|That|Those|Each|Any|All|If|In|It|Its|He|She|They|We|You|Our|Your|Upon"
    r"|Such|No|Neither|Nothing|For|As|At|By|On|To|Under|When|Where|Without|Notwithstanding"
    r"|Except|Subject|Unless|However|There|After|Before|During|Both|Either)(?![A-Za-z])"
)
_INITIAL = re.compile(r"(?<![A-Za-z])[A-Z]\.$")
_LETTERED_NAME = re.compile(
    r"(?:Exhibit|Schedule|Annex|Appendix|Attachment|Part|Party|Section|Class|Series|Group|Phase"
    r"|Plan|Type|Item)s?\s+[A-Z]\.$",
    re.IGNORECASE,
)
# Where an over-long sentence may be cut, best first.
_CUTS = (
    re.compile(r";(?:\s+(?:and|or|provided))?\s+(?=\S)|(?<=[。！？；])"),
    re.compile(r"(?<!\s)\s+(?=\((?:[A-Za-z]{1,2}|[ivx]{1,5})\)\s)"),
    re.compile(r"[,:]\s+|(?<=[，、：])"),
    re.compile(r"\s+"),
)
_CLOSING = re.compile(r"[)\]}”»]+\s*")
_JOINERS = "\u200d\ufe0e\ufe0f"


def split_sentences(document: str, language: str = "en") -> list[Span]:
    """Split a document into sentences.

    Every `document[start:end]` is non-empty, without white space at its ends, at most
    `MAX_SENTENCE_BYTES` long in UTF-8; spans are in order and do not overlap. Pieces without a
    letter (rules, page numbers, "* * *") are left out, unless there is nothing else.

    Args:
        document: any string, lone surrogates included.
        language: ISO 639 code of the abbreviations that `sentencex` looks out for; full stops of
            other scripts (。؟।) end sentences in every language.
    """
    plain = plain_copy(document)
    spaced = _WHITE_SPACE.sub(" ", plain)
    spans = [
        piece
        for block in blocks(plain)
        for sentence in _sentences(plain, spaced, block, language)
        for piece in _pieces(spaced, sentence)
    ]
    worded = [span for span in spans if _has_words(spaced, span)]
    return worded or spans


def _has_words(spaced: str, span: Span) -> bool:
    text = spaced[span.start : span.end]
    return any(map(str.isalpha, text)) and not _ONLY_MARKER.fullmatch(text)


def _sentences(plain: str, spaced: str, block: Span, language: str) -> Iterator[Span]:
    """Yield the stripped sentences of one block."""
    if is_table_row(plain, block):
        yield block
        return
    text = spaced[block.start : block.end]
    start = 0
    for end in _ends(text, language):
        if end <= start or (end < len(text) and _goes_on(text, start, end)):
            continue
        yield from _stripped(spaced, block.start + start, block.start + end)
        start = end


def _ends(text: str, language: str) -> Iterator[int]:
    """Yield where sentences end according to `sentencex`, behind the white space."""
    start = 0
    while start < len(text):
        window = text[start : start + _WINDOW_CHARACTERS]
        # sentencex 1.0 finds no sentence end at all in a text that opens with a bracket.
        readable = " " + window[1:] if window[0] in "([{" else window
        segments = sentencex.segment(language, readable)
        if sum(map(len, segments)) != len(window):
            segments = [window]
        if start + len(window) < len(text):
            if len(segments) == 1:
                start += len(window)
                continue
            segments.pop()  # It may go on behind the window.
        for segment in segments:
            start += len(segment)
            closing = _CLOSING.match(text, start)
            yield closing.end() if closing else start


def _stripped(spaced: str, start: int, end: int) -> Iterator[Span]:
    """Yield the span without white space at its ends, or nothing if there is nothing else."""
    text = spaced[start:end]
    stripped = text.strip()
    if stripped:
        start += len(text) - len(text.lstrip())
        yield Span(start, start + len(stripped))


def _goes_on(text: str, start: int, following: int) -> bool:
    """Whether a sentence that starts at `start` goes on at `following` after all."""
    tail = text[max(start, following - 40) : following].rstrip()
    if _OPEN_ABBREVIATION.search(tail):
        return True
    if _INITIAL.search(tail):
        return not _LETTERED_NAME.search(tail)
    if _COMPANY_ABBREVIATION.search(tail):
        return not _OPENING_WORD.match(text, following)
    if following - start > 100:
        return False
    sentence = text[start:following].rstrip()
    if _ONLY_MARKER.fullmatch(sentence):
        return True
    return _is_title(sentence) and not _ONLY_MARKER.match(text, following)


def _is_title(text: str) -> bool:
    found = _RUN_IN_TITLE.fullmatch(text)
    words = found["title"].split() if found else []
    return 0 < len(words) <= _MAX_TITLE_WORDS and all(
        word in _SMALL_TITLE_WORDS or not word[0].islower() for word in words
    )


def _pieces(spaced: str, sentence: Span) -> Iterator[Span]:
    """Yield the sentence, cut where it is longer than `MAX_SENTENCE_BYTES`."""
    start, end = sentence
    while (last := _last_that_fits(spaced, start)) < end:
        cut = _cut(spaced, start, last)
        yield from _stripped(spaced, start, cut)
        start = cut
    if (start, end) == sentence:
        yield sentence
    else:
        yield from _stripped(spaced, start, end)


def _last_that_fits(spaced: str, start: int) -> int:
    text = spaced[start : start + MAX_SENTENCE_BYTES]
    if text.isascii():
        return start + MAX_SENTENCE_BYTES
    return start + len(text.encode()[:MAX_SENTENCE_BYTES].decode(errors="ignore"))


def _cut(spaced: str, start: int, last: int) -> int:
    """Where the over-long sentence at `start` is cut best, at `last` or before."""
    first = start + _MIN_PIECE_CHARACTERS
    for pattern in _CUTS:
        found = list(pattern.finditer(spaced, first, last))
        if found:
            return found[-1].end()
    cut = last
    # A base character keeps its accents, an emoji its modifiers.
    while cut > first and (unicodedata.combining(spaced[cut]) or spaced[cut] in _JOINERS):
        cut -= 1
    return cut
