"""Trains the models of this folder, and writes down what the sentencepiece library makes of texts.

Run in an environment of its own, where `pip install sentencepiece==0.2.3` was done:
`python -m tests.engines.sentencepiece_models.make`. The library is no dependency of this project,
because its Protocol Buffers classes are newer than the version that serving needs.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sentencepiece

from tests.engines.sentencepiece_models.texts import TEXTS

FOLDER = Path(__file__).parent
IDS_FILE = FOLDER / "ids.json"
SENTENCES = [
    *("the good film and the bad film", "a bad contract", "the term of the contract, term 7"),
    *(
        "Latency is measured on this machine.",
        "Every message says what to do next.",
        "and one more",
    ),
    *(
        "café déjà vu naïve façade",
        "große Straße",
        "İstanbul",
        "ÀÉÎ ÕÜ",
        "don't stop - 9,5 or 1,000",
    ),
    *(
        "日本語のテキストです。",
        "中文文本分类很快。",
        "Это хороший фильм.",
        "Ελληνικά κείμενα",
        "😀👍",
    ),
    *("in the (first) place", "for £5 or €6 – or so", "width 1 2 3", "line by line", "fine flow"),
]
# A part of what the models on the hub do with characters; the whole table has 240 KB.
REPLACED = "ｆｕｌｗｉｄｔｈ１２３ﬁﬂ½²™\u00a0\u3000\U0001d54f\U0001d55d"
SPACES = "\t\n\r\u200b\u2028\u2029\ufeff\ufffd▁"
REMOVED = "\x01\x02\x07\x1b\u00ad"
SPECIAL: dict[str, dict[str, Any]] = {
    "spiece": {
        "pad_id": 0,
        "unk_id": 1,
        "bos_id": -1,
        "eos_id": -1,
        "control_symbols": ["[CLS]", "[SEP]", "[MASK]"],
        "user_defined_symbols": ["(", ")", '"', "-", ".", "–", "£", "€"],
    },
    "spm": {
        "pad_id": 0,
        "bos_id": 1,
        "eos_id": 2,
        "unk_id": 3,
        "pad_piece": "[PAD]",
        "bos_piece": "[CLS]",
        "eos_piece": "[SEP]",
        "unk_piece": "[UNK]",
    },
    "sentencepiece.bpe": {},
}


def train(work: Path) -> None:
    """Write the three models into this folder."""
    rules = {c: unicodedata.normalize("NFKC", c) for c in REPLACED} | dict.fromkeys(SPACES, " ")
    rules |= dict.fromkeys(REMOVED, "")
    table = work / "rules.tsv"
    lines = (f"{_hex(source)}\t{_hex(target)}\n" for source, target in rules.items())
    table.write_text("".join(lines))
    for name, options in SPECIAL.items():
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(SENTENCES * 4),
            model_prefix=str(work / name),
            model_type="unigram",
            vocab_size=220,
            hard_vocab_limit=False,
            character_coverage=1.0,
            num_threads=1,
            normalization_rule_tsv=str(table),
            minloglevel=2,
            **options,
        )
        (FOLDER / f"{name}.model").write_bytes((work / f"{name}.model").read_bytes())


def _hex(text: str) -> str:
    return " ".join(f"{ord(character):X}" for character in text)


def albert(model: Any, text: str) -> list[int]:
    """As the tokenizer that ALBERT was trained with: it lower-cases and strips accents itself, and
    parts a number from its comma."""
    text = " ".join(text.split()).replace("``", '"').replace("''", '"')
    text = unicodedata.normalize("NFKD", text)
    text = "".join(c for c in text if not unicodedata.combining(c)).lower()
    pieces: list[str] = []
    for piece in model.encode(text, out_type=str):
        if len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit():
            number = model.encode(piece[:-1].replace("▁", ""), out_type=str)
            if not piece.startswith("▁") and number[0].startswith("▁"):
                number[0] = number[0][1:]
            pieces += [*filter(None, number), ","]
        else:
            pieces.append(piece)
    return [2, *map(model.piece_to_id, pieces), 3]


def deberta(model: Any, text: str) -> list[int]:
    """The library's own ids."""
    return [1, *model.encode(text), 2]


def xlm_roberta(model: Any, text: str) -> list[int]:
    """Counted from fairseq's four special tokens, where the library has three."""
    return [0, *(index + 1 if index else 3 for index in model.encode(text)), 2]


def main() -> None:
    """Write models and ids anew."""
    with TemporaryDirectory() as work:
        train(Path(work))
    kinds = {"spiece": albert, "spm": deberta, "sentencepiece.bpe": xlm_roberta}
    found = {}
    for name, ids in kinds.items():
        model = sentencepiece.SentencePieceProcessor(model_file=str(FOLDER / f"{name}.model"))
        found[f"{name}.model"] = [ids(model, text) for text in TEXTS]
    IDS_FILE.write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
