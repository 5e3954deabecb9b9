"""Summarizers of random weights as version folders, and documents to summarize."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from core.card import write_card
from engines.checksums import file_sha256
from engines.graph import classifier_graph, embedding_graph
from tests.engines.tiny_encoder import HIDDEN, SHAPE, tiny_weights
from tests.tiny import card, write_tokenizer

SENTENCES = (
    "The Buyer pays the fee within ten days.",
    "Late fees are due at once and without notice.",
    "Delaware law governs this agreement.",
    "This page was left blank on purpose.",
    "Nobody knows why this is here.",
    "Either party may end the contract at any time.",
    "The Seller delivers the goods to the port of Rotterdam.",
)


def write_summarizer(folder: Path, name: str, output: str = "embedding", seed: int = 0) -> Path:
    """A version folder `<folder>/<name>/1` of random weights; returns it."""
    version = folder / name / "1"
    version.mkdir(parents=True)
    weights = tiny_weights(seed)
    if output == "embedding":
        model, labels = embedding_graph(weights, SHAPE), []
    else:
        head = np.random.default_rng(seed).normal(0, 0.3, (2, HIDDEN)).astype(np.float32)
        bias = np.zeros(2, dtype=np.float32)
        model, labels = classifier_graph(weights, SHAPE, head, bias), ["drop", "keep"]
    onnx.save(model, version / "model.onnx")
    write_tokenizer(version / "tokenizer.json")
    engine_sha256 = file_sha256(version / "model.onnx")
    kind = {"task": "summarize", "output": output, "labels": labels}
    write_card(card(name, **kind, engine_sha256=engine_sha256), version)
    return version


def document(*order: int) -> str:
    """A document of these sentences."""
    return " ".join(SENTENCES[index] for index in order)


def span(text: str, marked: str, category: str = "Fees") -> dict[str, Any]:
    """A passage that is marked in `text`."""
    start = text.index(marked)
    return {"category": category, "start": start, "end": start + len(marked)}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows as JSON lines, gzipped if the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    return path


def write_data(folder: Path) -> Path:
    """A data folder with four contracts and three documents that people summarized."""
    contracts = []
    for shift in range(4):
        text = document(*[(index + shift) % len(SENTENCES) for index in range(len(SENTENCES))])
        spans = [span(text, SENTENCES[0]), span(text, SENTENCES[2], "Governing Law")]
        spans += [span(text, SENTENCES[5], "Expiration Date"), span(text, "page", "Parties")]
        contracts.append({"id": str(shift), "text": text, "spans": spans})
    write_rows(folder / "contracts" / "test.jsonl.gz", contracts)
    documents = [
        {"text": document(0, 1), "summary": "You pay the fee within ten days."},
        {"text": document(3, 2), "summary": "Delaware law governs."},
        {"text": document(5, 6, 4), "summary": "The contract may end at any time."},
    ]
    write_rows(folder / "legal_summaries" / "validation.jsonl.gz", documents)
    return folder
