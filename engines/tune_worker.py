"""`python -m engines.tune_worker` is one instance of an engine, in a process of its own.

Lines of JSON on standard input ask, lines of JSON on standard output answer: first
`{"path", "backend", "precision", "threads", "lengths", "batches", "token_ids"}` loads and warms up,
then each `{"batch", "seconds", "seed"}` runs calls of so many texts, one after the other, for so
long.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engines.measure import Engine, feed
from engines.runtimes import max_run_tokens, open_engine, run_length


def main() -> None:
    """Answer until standard input ends."""
    settings = json.loads(sys.stdin.readline())
    engine = open_engine(
        Path(settings["path"]), settings["backend"], settings["precision"], settings["threads"]
    )
    # Texts as their backend runs them.
    way = settings["backend"], settings["precision"]
    lengths = [
        (run_length(*way, int(tokens)), float(weight)) for tokens, weight in settings["lengths"]
    ]
    most = max_run_tokens(*way)
    for tokens, _ in lengths:
        for batch in settings["batches"]:
            for rows in runs_of(batch, tokens, most):
                engine.run(None, inputs_of(rows, tokens, settings["token_ids"]))
    answer({"ready": True})
    for line in sys.stdin:
        asked = json.loads(line)
        answer(measure(engine, lengths, settings["token_ids"], most=most, **asked))


def measure(
    engine: Engine,
    lengths: list[tuple[int, float]],
    token_ids: int,
    batch: int,
    seconds: float,
    seed: int,
    most: int,
) -> dict[str, Any]:
    """Time of every call, and of every run by its rows and tokens, all in milliseconds.

    A call's texts are of one length, drawn by weight. Texts of more than `most` tokens are cut into
    several runs, as the backends do.
    """
    random = np.random.default_rng(seed)
    weights = np.array([weight for _, weight in lengths])
    feeds = {
        tokens: [inputs_of(rows, tokens, token_ids) for rows in runs_of(batch, tokens, most)]
        for tokens, _ in lengths
    }
    calls: list[float] = []
    runs: list[tuple[int, float]] = []
    begun = time.perf_counter()
    while not calls or time.perf_counter() - begun < seconds:
        tokens = lengths[random.choice(len(lengths), p=weights / weights.sum())][0]
        call = 0.0
        for inputs in feeds[tokens]:
            start = time.perf_counter()
            engine.run(None, inputs)
            taken_ms = (time.perf_counter() - start) * 1e3
            runs.append((inputs["input_ids"].size, taken_ms))
            call += taken_ms
        calls.append(call)
    elapsed = time.perf_counter() - begun
    return {"calls_ms": calls, "runs": runs, "elapsed_seconds": elapsed}


def runs_of(batch: int, tokens: int, most: int) -> Iterator[int]:
    """Rows of each run that a batch of texts of so many tokens is cut into."""
    rows = max(1, most // tokens)
    for start in range(0, batch, rows):
        yield min(rows, batch - start)


def inputs_of(rows: int, tokens: int, token_ids: int) -> dict[str, Any]:
    """Texts of random tokens below `token_ids`; time does not depend on which they are."""
    ids = np.random.default_rng(tokens).integers(1, token_ids, (rows, tokens))
    return feed(ids, np.ones_like(ids))


def answer(value: dict[str, Any]) -> None:
    """Write one line."""
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
