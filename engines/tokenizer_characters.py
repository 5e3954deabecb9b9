"""Whether a tokenizer survives every character.

A tokenizer that came from SentencePiece has a compiled table that says what becomes of characters.
One with places outside itself loads well, and makes the library panic at the first text that has
such a character, which would be while serving.
"""

from __future__ import annotations

from tokenizers import Tokenizer

# Where a tokenizer.json has one.
TABLE = b'"precompiled_charsmap"'
# Every character but surrogates, which UTF-8 does not have.
CHARACTERS = (range(0xD800), range(0xE000, 0x110000))


def is_sound(tokenizer: Tokenizer) -> bool:
    """Whether the tokenizer's normalizer takes every character; about half a second."""
    if tokenizer.normalizer is None:
        return True
    try:
        tokenizer.normalizer.normalize_str(
            "".join(chr(code) for part in CHARACTERS for code in part)
        )
    except BaseException as error:  # a panic is no Exception, and its class cannot be imported
        if type(error).__name__ != "PanicException":
            raise
        return False
    return True
