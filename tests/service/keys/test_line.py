"""What a line of a file of keys may hold, and that no message holds what stands there."""

from __future__ import annotations

import hashlib
import math

import pytest

from service.keys.line import KeysError, Rate, digest_of, line_of, lines_in, new_key, parsed

SECRET = "hunter2-do-not-tell"
HASH = f"sha256:{hashlib.sha256(SECRET.encode()).hexdigest()}"


def test_a_new_key_is_never_the_same_and_has_256_bits() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("sub50_") and len(key) == 6 + 43 for key in keys)


def test_a_line_holds_the_hash_and_not_the_key() -> None:
    key = new_key()
    line = line_of("ana", key, "rate=5")
    assert key not in line
    (read,) = lines_in(line.encode())
    assert (read.name, read.digest, read.rate) == ("ana", digest_of(key), Rate(5.0))
    assert read.digest == hashlib.sha256(key.encode()).digest()


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ("", Rate()),
        ("rate=100", Rate(100.0)),
        ("rate=0.5 burst=3", Rate(0.5, 3)),
        ("burst=7", Rate(None, 7)),
        ("rate=none", Rate(math.inf)),
    ],
)
def test_rates(options: str, rate: Rate) -> None:
    assert lines_in(f"ana {HASH.upper().replace('SHA', 'sha')} {options}".encode())[0].rate == rate


def test_comments_blanks_and_plain_keys() -> None:
    content = f"# ours\r\n\n  plain-key \nana {HASH}\n# Schlüssel\n".encode()
    plain, ana = lines_in(content)
    assert (plain.name, plain.was_plain, plain.digest) == (
        "plain-line-3",
        True,
        digest_of("plain-key"),
    )
    assert (ana.name, ana.was_plain) == ("ana", False)


def test_a_name_may_have_two_keys_while_one_takes_over_from_the_other() -> None:
    lines = lines_in(f"ana {HASH} rate=5\nana sha256:{'0' * 64} rate=5\n".encode())
    assert [line.name for line in lines] == ["ana", "ana"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "holds no key"),
        ("# nothing\n \n", "holds no key"),
        (f"{SECRET} words\n", "line 1 is no key: its second word is no hash"),
        (f"\nana {SECRET}\n", "line 2 is no key: its second word is no hash"),
        (f"ana {HASH}0\n", "its second word is no hash"),
        (f"ana {HASH[:-1]}\n", "its second word is no hash"),
        (f"ana md5:{'0' * 32}\n", "its second word is no hash"),
        (f"{HASH}\n", "line 1 has a hash without a name"),
        ("schlüssel\n", "line 1 is no key: it is not printable ASCII"),
        ("\x1c\n", "line 1 is empty"),
        (f'a"b{{}} {HASH}\n', "its name has strange letters"),
        (f"{'x' * 65} {HASH}\n", "its name has strange letters"),
        (f"ana {HASH} {SECRET}=1\n", "an option that is none"),
        (f"ana {HASH} rate=1 rate=2\n", "twice"),
        (f"ana {HASH} rate={SECRET}\n", "wrong rate"),
        (f"ana {HASH} rate=0\n", "wrong rate"),
        (f"ana {HASH} rate=-1\n", "wrong rate"),
        (f"ana {HASH} rate=nan\n", "wrong rate"),
        (f"ana {HASH} rate=inf\n", "wrong rate"),
        (f"ana {HASH} rate=1_000\n", "wrong rate"),
        (f"ana {HASH} rate=0.0\n", "wrong rate"),
        (f"ana {HASH} burst=0\n", "wrong rate"),
        (f"ana {HASH} burst=1.5\n", "wrong rate"),
        (f"ana {HASH} burst=1{'0' * 400}\n", "wrong rate"),
        (f"ana {HASH} burst=\n", "wrong rate"),
        (f"ana {HASH}\nbob {HASH}\n", "line 2 has the key of line 1"),
        (f"{SECRET}\nana {HASH}\n", "line 2 has the key of line 1"),
        (f"ana {HASH} rate=1\nana sha256:{'0' * 64}\n", "one name and two rates"),
    ],
)
def test_lines_that_are_none(content: str, told: str) -> None:
    with pytest.raises(KeysError) as caught:
        lines_in(content.encode())
    assert told in str(caught.value)
    assert SECRET not in str(caught.value)
    assert HASH[7:] not in str(caught.value)


@pytest.mark.parametrize("entry", ["", " ", "\u2003"])
def test_an_empty_entry_would_let_everybody_in(entry: str) -> None:
    with pytest.raises(KeysError, match="entry 1 is empty"):
        parsed([("entry 1", entry)])
