"""Every sentence is a range of its document, whatever the document is made of."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.blocks import plain_copy
from core.sentences import MAX_SENTENCE_BYTES, split_sentences

MEBI = 1 << 20
PARTS = st.sampled_from(
    [
        "Foo bar. ",
        "2.1 Term. ",
        "(a) ",
        "\n",
        "\r\n",
        "\f",
        "\t",
        "   ",
        "\0",
        "\ud800",
        "Inc. ",
        "😀",
        "e\u0301",
        "今天。",
        "نعم؟ ",
        "'",
        "(",
        "HEADING\n",
        "a | b | c\n",
        "; and ",
        "x" * 600,
        "好" * 300,
        ")) ",
        "! ",
    ]
)


def texts(document: str) -> list[str]:
    return [document[start:end] for start, end in split_sentences(document)]


def check(document: str) -> None:
    position = 0
    for start, end in split_sentences(document):
        assert position <= start < end <= len(document)
        assert document[start:end] == document[start:end].strip()
        assert len(document[start:end].encode("utf-8", "surrogatepass")) <= MAX_SENTENCE_BYTES
        position = end


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("One here. Two here!  Three?", ["One here.", "Two here!", "Three?"]),
        ("Acme Inc. of Delaware pays. See below.", ["Acme Inc. of Delaware pays.", "See below."]),
        ("Made by Acme Inc. The Buyer pays.", ["Made by Acme Inc.", "The Buyer pays."]),
        ("Roe v. Wade, No. 5, was cited.", ["Roe v. Wade, No. 5, was cited."]),
        ("Fruit, e.g. Apples, is sold. Buy.", ["Fruit, e.g. Apples, is sold.", "Buy."]),
        ("J. R. Smith signs. Dr. Who too.", ["J. R. Smith signs.", "Dr. Who too."]),
        ("It stands in Exhibit B. The rest goes.", ["It stands in Exhibit B.", "The rest goes."]),
        ("As in Section 2.1. The fee is due.", ["As in Section 2.1.", "The fee is due."]),
        ("(a) He left. She stayed.", ["(a) He left.", "She stayed."]),
        ("It (so to say) is OK!) Then go.", ["It (so to say) is OK!)", "Then go."]),
        ("今天天气很好。我们走吧。", ["今天天气很好。", "我们走吧。"]),
        ("مرحبا؟ نعم.", ["مرحبا؟", "نعم."]),
    ],
)
def test_sentence_ends(document: str, expected: list[str]) -> None:
    assert texts(document) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            "Section 2.1. Term. It starts now. It ends.",
            ["Section 2.1. Term. It starts now.", "It ends."],
        ),
        ("12. Governing Law. Delaware law rules.", ["12. Governing Law. Delaware law rules."]),
        ("1. First item. 2. Second item.", ["1. First item.", "2. Second item."]),
        ("a sentence that is\nwrapped by hand.", ["a sentence that is\nwrapped by hand."]),
        ("1. FEES\n2. TERM", ["1. FEES", "2. TERM"]),
        ("TERMS AND\nCONDITIONS\nThey agree.", ["TERMS AND\nCONDITIONS", "They agree."]),
        ("GENERAL TERMS\nThe parties agree.", ["GENERAL TERMS", "The parties agree."]),
        ("The list:\n(a) apples\n(b) pears", ["The list:", "(a) apples", "(b) pears"]),
        ("We sell:\n- bolts\n• nuts", ["We sell:", "- bolts", "• nuts"]),
        ("No stop here\n\nNew paragraph", ["No stop here", "New paragraph"]),
        ("No stop here\fNew page", ["No stop here", "New page"]),
        ("Name\tQuantity\tPrice\nBolt M. 5\t5\t$3", ["Name\tQuantity\tPrice", "Bolt M. 5\t5\t$3"]),
        ("One ends.\r\nTwo\r\nwraps.\r\n\r\nThree", ["One ends.", "Two\r\nwraps.", "Three"]),
        ("It is due.     2.2 Late fees apply.", ["It is due.", "2.2 Late fees apply."]),
        ("12 Main Street\nNew York, NY", ["12 Main Street", "New York, NY"]),
        ("Text.\n\n17\n\n* * *\n\nMore text.", ["Text.", "More text."]),
    ],
)
def test_layout(document: str, expected: list[str]) -> None:
    assert texts(document) == expected


def test_a_page_break_in_mid_sentence_does_not_end_it() -> None:
    document = (
        "The Supplier shall tell the Buyer regardless of when such\n\n\fnotice takes effect. End."
    )
    assert texts(document) == [document[:-5], "End."]


def test_a_page_footer_is_no_half_sentence() -> None:
    document = "Source: SOMEBODY, INC., 10-Q, filed on 1/15/2020\n\nto indemnify the Licensee."
    assert texts(document) == document.split("\n\n")


def test_over_long_sentences_are_cut_where_it_hurts_least() -> None:
    clause = "the Supplier shall deliver the goods to the Buyer without delay; "
    pieces = texts(clause * 40)
    assert all(piece.endswith(";") for piece in pieces)
    assert "".join(piece + " " for piece in pieces) == clause * 40


def test_accents_stay_with_their_letter() -> None:
    document = "e\u0301" * 5000
    assert all(document[start] == "e" for start, _ in split_sentences(document))


@pytest.mark.parametrize("document", ["", " \n\t\f ", "\u2029\u00a0"])
def test_white_space_has_no_sentences(document: str) -> None:
    assert split_sentences(document) == []


@pytest.mark.parametrize("document", ["22", "* * *", "😀😀", "\0", "\ud800"])
def test_what_has_no_letters_is_better_than_nothing(document: str) -> None:
    assert texts(document) == [document]


def test_positions_count_code_points() -> None:
    assert texts("😀 Größe \ud800 gut. Zwei e\u0301 😀.") == [
        "😀 Größe \ud800 gut.",
        "Zwei e\u0301 😀.",
    ]


@given(st.lists(PARTS, max_size=40).map("".join))
@settings(deadline=None)
def test_invariants_hold_for_any_layout(document: str) -> None:
    check(document)
    assert len(plain_copy(document)) == len(document)


@given(st.text(st.characters(), max_size=300))
@settings(deadline=None)
def test_invariants_hold_for_any_text(document: str) -> None:
    check(document)


@pytest.mark.parametrize(
    "pattern",
    [
        "a",
        "word ",
        "😀",
        "Hello. ",
        ".",
        "A. ",
        "1. ",
        "1.1.",
        "(a) ",
        "(",
        "'",
        '"',
        "e\u0301",
        "A\n",
        "AB CD\n",
        "a\r",
        "a\tb\tc\n",
        "Ab.\n\n",
        "今天。",
        "x; ",
        "Section ",
        "A    ",
        "a  (b) C",
    ],
)
def test_time_grows_with_length_not_with_its_square(pattern: str) -> None:
    def seconds(characters: int) -> float:
        document = pattern * (characters // len(pattern))
        times = []
        for _ in range(2):
            started = time.process_time()
            split_sentences(document)
            times.append(time.process_time() - started)
        return min(times)

    # Sixteen times the length: 16 if linear, 256 if quadratic.
    assert seconds(MEBI // 16) < 64 * seconds(MEBI // 256) + 0.05


def test_a_mebibyte_of_spaces_in_the_middle() -> None:
    document = f"One{' ' * MEBI}two."
    assert [piece for text in texts(document) for piece in text.split()] == ["One", "two."]
    check(document)
