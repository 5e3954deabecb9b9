"""How good the summaries are: `python -m engines.evaluate_summaries --data DIR --engine FOLDER`.

Counts how many of the passages that lawyers marked in contracts a summary of 15 % of the
sentences touches, for an engine and for rankings that learn nothing, all of the same length. For
an engine that gives sentence vectors, prints ROUGE on plain-English summaries of terms of service
as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from core.buckets import bucket_length
from core.card import ENGINE_FILE, TOKENIZER_FILE
from core.scores import softmax
from core.sentences import split_sentences
from core.summary import centrality, choose, count_words
from core.tokenizer import TextTokenizer, pad
from engines.baselines import BASELINES
from engines.contracts import KEEP, Contract, overlapping, read_contracts, stands_for
from engines.data import read_rows
from engines.errors import EngineError
from engines.measure import feed, open_session
from engines.tasks import UNCOUNTED_CATEGORIES

SUMMARY_SHARE = 0.15
BATCH_TOKENS = 4096
# Whole clauses, and so counted; some studies set them aside with the other dates.
EXPIRATION_DATE = "Expiration Date"

Floats = NDArray[np.float32]
Ranking = Callable[[Sequence[str]], tuple[Floats, Floats | None]]
"""Sentences to their scores, and to unit vectors if redundancy is to be removed by them."""


@dataclass(frozen=True)
class Touched:
    """Shares of marked passages that the summaries touch.

    `share` is over all passages, `mean_share` the mean over contracts, `half_share` asks that a
    chosen sentence and the passage share half of the shorter one, and `word_share` is how much
    of the contracts' words the summaries take.
    """

    share: float
    mean_share: float
    half_share: float
    word_share: float
    passages: int


def summarize(
    contracts: Sequence[Contract], ranking: Ranking, share: float = SUMMARY_SHARE
) -> list[set[int]]:
    """The chosen sentences of every contract. `ranking` sees one contract at a time."""
    chosen = []
    for contract in contracts:
        texts = contract.sentence_texts()
        scores, vectors = ranking(texts)
        words = [count_words(text) for text in texts]
        chosen.append(set(choose(scores, words, ratio=share, vectors=vectors)))
    return chosen


def measure_touched(contracts: Sequence[Contract], summaries: Sequence[set[int]]) -> Touched:
    """Count the passages that the summaries touch."""
    touched: list[bool] = []
    half: list[bool] = []
    means: list[float] = []
    taken_words = all_words = 0
    for contract, chosen in zip(contracts, summaries, strict=True):
        words = [count_words(text) for text in contract.sentence_texts()]
        taken_words += sum(words[index] for index in chosen)
        all_words += sum(words)
        hits = []
        for passage in contract.passages:
            found = [i for i in overlapping(contract.sentences, passage) if i in chosen]
            hits.append(bool(found))
            half.append(any(stands_for(contract.sentences[i], passage) for i in found))
        touched += hits
        if hits:
            means.append(float(np.mean(hits)))
    return Touched(
        share=float(np.mean(touched)),
        mean_share=float(np.mean(means)),
        half_share=float(np.mean(half)),
        word_share=taken_words / all_words,
        passages=len(touched),
    )


class Engine:
    """An engine folder (`model.onnx`, `tokenizer.json`) run in this process, without Triton."""

    def __init__(self, folder: Path, threads: int = 0) -> None:
        for name in (ENGINE_FILE, TOKENIZER_FILE):
            if not (folder / name).is_file():
                raise EngineError(
                    f"no {name} in {folder}; build engines with `sub50 engines build`, or pass a "
                    "version folder such as model_repository/contracts/1 with --engine"
                )
        self.tokenizer = TextTokenizer(folder / TOKENIZER_FILE)
        self.session = open_session(folder / ENGINE_FILE, threads)
        self.gives_vectors = self.session.get_outputs()[0].name == "embedding"

    def outputs(self, texts: Sequence[str]) -> Floats:
        """Logits or vectors, float32, shape (texts, labels or width)."""
        rows = [tokens.ids for tokens in self.tokenizer.encode(texts)]
        by_bucket: dict[int, list[int]] = {}
        for index, row in enumerate(rows):
            by_bucket.setdefault(bucket_length(len(row)), []).append(index)
        width = self.session.get_outputs()[0].shape[-1]
        result = np.zeros((len(rows), width), dtype=np.float32)
        for bucket, indices in by_bucket.items():
            size = max(1, BATCH_TOKENS // bucket)
            for start in range(0, len(indices), size):
                batch = indices[start : start + size]
                inputs = feed(*pad([rows[index] for index in batch], bucket))
                result[batch] = self.session.run(None, inputs)[0]
        return result

    def rank(self, texts: Sequence[str]) -> tuple[Floats, Floats | None]:
        """Sentence scores as the service has them, and vectors where the engine gives them."""
        outputs = self.outputs(texts)
        if self.gives_vectors:
            return centrality(outputs), outputs
        return softmax(outputs)[:, KEEP], None


def baseline_rankings() -> dict[str, Ranking]:
    """The rankings to compare with, by name."""

    def ranking(name: str) -> Ranking:
        return lambda texts: (BASELINES[name](texts).astype(np.float32), None)

    return {name: ranking(name) for name in BASELINES}


def measure_rouge(path: Path, ranking: Ranking, max_sentences: int = 1) -> dict[str, float]:
    """Mean F1 of ROUGE-1, -2 and -L (with stemming) of summaries against those of the file.

    Args:
        path: rows of `{"text", "summary"}`.

    Raises:
        EngineError: the rouge-score package is missing.
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]
    except ImportError as error:
        raise EngineError(
            "ROUGE needs the evaluate extra: pip install 'sub50[evaluate]'"
        ) from error
    names = ["rouge1", "rouge2", "rougeL"]
    scorer = RougeScorer(names, use_stemmer=True)
    measured = []
    for row in read_rows(path):
        text = row["text"]
        texts = [text[start:end] for start, end in split_sentences(text)]
        scores, vectors = ranking(texts)
        words = [count_words(sentence) for sentence in texts]
        chosen = choose(scores, words, max_sentences=max_sentences, vectors=vectors)
        found = scorer.score(row["summary"], " ".join(texts[index] for index in chosen))
        measured.append([found[name].fmeasure for name in names])
    means = np.mean(measured, axis=0).tolist()
    return dict(zip(names, means, strict=True))


def evaluate(data: Path, engine: Path, split: str, threads: int) -> dict[str, dict[str, Any]]:
    """Figures of every ranking: `touched`, the same without expiration dates, and `rouge`.

    Raises:
        EngineError: data or engine are missing.
    """
    runner = Engine(engine, threads)
    rankings = {engine.parent.name or "engine": runner.rank, **baseline_rankings()}
    path = data / "contracts" / f"{split}.jsonl.gz"
    contracts = read_contracts(path)
    undated = read_contracts(path, UNCOUNTED_CATEGORIES | {EXPIRATION_DATE})
    figures: dict[str, dict[str, Any]] = {}
    for name, ranking in rankings.items():
        summaries = summarize(contracts, ranking)
        figures[name] = {
            "touched": asdict(measure_touched(contracts, summaries)),
            "touched_undated": asdict(measure_touched(undated, summaries)),
        }
        if runner.gives_vectors:
            rouge = data / "legal_summaries" / "validation.jsonl.gz"
            figures[name]["rouge"] = measure_rouge(rouge, ranking)
    return figures


def _print(console: Console, figures: dict[str, dict[str, Any]], split: str) -> None:
    table = Table(title=f"Marked passages touched at {SUMMARY_SHARE:.0%}, contracts/{split}")
    for heading in ("ranking", "share", "mean", "half", "no expiry dates", "words taken"):
        table.add_column(heading)
    for name, found in figures.items():
        touched = found["touched"]
        shares = [touched[k] for k in ("share", "mean_share", "half_share")]
        shares += [found["touched_undated"]["share"], touched["word_share"]]
        table.add_row(name, *(f"{value:.3f}" for value in shares))
    console.print(table)
    for name, found in figures.items():
        for measure, value in found.get("rouge", {}).items():
            console.print(f"{name}: {measure} {100 * value:.1f}", highlight=False)


def main(
    data: Annotated[Path, typer.Option(help="Folder with contracts/ and legal_summaries/.")],
    engine: Annotated[Path, typer.Option(help="Version folder of an engine.")],
    split: Annotated[str, typer.Option(help="test or validation.")] = "test",
    threads: Annotated[int, typer.Option(help="Threads of the engine; 0 takes every core.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the share of marked passages touched, for the engine and for baselines."""
    console = Console()
    try:
        figures = evaluate(data, engine, split, threads)
    except EngineError as error:
        console.print(f"error: {error}", style="bold red", markup=False)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
    else:
        _print(console, figures, split)


if __name__ == "__main__":
    typer.run(main)
