"""Texts whose token ids are compared with those of the sentencepiece library."""

from __future__ import annotations

TEXTS = [
    *("", " ", " \n\t ", "a", "Hello world", "the good film", "A bad contract, and a term of 7."),
    *("   leading", "trailing   ", "a line\n", "two  spaces   and more", "\tTab\tand\r\nlines\n\n"),
    *("café déjà vu naïve", "cafe\u0301 combined", "ÀÉÎÕÜ", "große Straße ẞ", "İstanbul ıssız"),
    *(
        "日本語のテキストです。",
        "中文文本分类很快。",
        "한국어 텍스트",
        "日本語 and English",
        "日" * 500,
    ),
    *("Это хороший фильм.", "Ελληνικά κείμενα", "مرحبا بالعالم", "שלום עולם", "नमस्ते दुनिया"),
    *("😀👍🏽 good", "👨‍👩‍👧‍👦 family", "flag 🇩🇪", "\U0001d54f\U0001d55d math"),
    *("9,5 or 1,000,000.5", "``quoted'' text", "don't stop, won't", "UPPER lower MiXeD"),
    *("e-mail: a.b@c.de https://x.y/z?q=1&r=2", '(in) - dash – for £5 €6 "q"', "a.b.c...d!?!?"),
    *(
        "ｆｕｌｌ ｗｉｄｔｈ １２３",
        "ﬁne ﬂow ½ ² ™",
        "a\u00a0b",
        "ends with one\u00a0",
        "\u00a0starts",
    ),
    *(
        "zero\u200bwidth",
        "joined\u200dup",
        "soft\u00adhyphen",
        "mark\ufeffhere",
        "\ufeffmark first",
    ),
    *(
        "\x00\x01\x02 control",
        "bell\x07 escape\x1b[0m",
        "line\u2028and\u2029more",
        "\u3000wide\u3000",
    ),
    *("\ufffd replaced", "▁underlined▁ mark", "term 7.1(b) of the contract", "x" * 600),
    "the good film, and the bad one. " * 60,
]
