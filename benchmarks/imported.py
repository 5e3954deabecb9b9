"""A BERT-base-sized classifier imported: how long it takes, and INT8 beside PyTorch in FP32.

    .venv/bin/python -m benchmarks.imported [--threads N] [--rounds N] [--keep FOLDER]

The weights are random, 110 million of them; time and memory do not depend on what they are. The
INT8 engine in ONNX Runtime and PyTorch (eager, its own choice of attention) each live in a process
of their own with the same number of threads, and take turns at one text of 128 tokens, so that
both see the same noise. Memory is what each of these processes holds when it is done. Needs the
`train` extra.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from core.card import ENGINE_FILE, TOKENIZER_FILE
from engines import base
from engines.importing import Import, import_checkpoint
from engines.measure import feed, open_session
from engines.memory import resident_bytes

SHAPE = (1, 128)
WARM_UP_RUNS = 5
MIB = 1 << 20


def write_checkpoint(folder: Path) -> None:
    """A BertForSequenceClassification of BERT-base's size, with the base encoder's tokenizer."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(id2label={0: "no", 1: "yes"})
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    shutil.copyfile(base.ensure_base() / base.TOKENIZER_FILE, folder / TOKENIZER_FILE)


def engine_runner(path: Path, threads: int) -> Any:
    """Runs the engine on the inputs, in ONNX Runtime."""
    session = open_session(path, threads)
    return lambda inputs: session.run(None, inputs)


def pytorch_runner(folder: Path, threads: int) -> Any:
    """Runs the checkpoint on the inputs, in PyTorch."""
    import torch
    import transformers

    torch.set_num_threads(threads)
    model: Any = transformers.BertForSequenceClassification.from_pretrained(folder)
    model.eval()

    def run(inputs: dict[str, Any]) -> Any:
        with torch.inference_mode():
            return model(**{name: torch.from_numpy(value) for name, value in inputs.items()})

    return run


def work(kind: str, path: Path, threads: int) -> None:
    """Load, warm up, then answer every line of standard input with the milliseconds of one run;
    at its end, the resident bytes."""
    runner = (engine_runner if kind == "engine" else pytorch_runner)(path, threads)
    ids = np.random.default_rng(0).integers(1000, 20_000, SHAPE, dtype=np.int64)
    inputs = feed(ids, np.ones_like(ids))
    for _ in range(WARM_UP_RUNS):
        runner(inputs)
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        runner(inputs)
        print((time.perf_counter() - start) * 1e3, flush=True)
    print(resident_bytes(), flush=True)


class Worker:
    """A process that runs one of the two."""

    def __init__(self, kind: str, path: Path, threads: int) -> None:
        command = [sys.executable, "-m", "benchmarks.imported", "--worker", kind, str(path)]
        self.process = subprocess.Popen(
            [*command, "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.taken_ms: list[float] = []
        if self._line() != "ready":
            raise SystemExit(f"the {kind} process did not start")

    def run(self) -> None:
        """One run."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.taken_ms.append(float(self._line()))

    def end(self) -> int:
        """Resident bytes, when done."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        size = int(self._line())
        self.process.wait()
        return size

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


def compare(checkpoint: Path, engine: Path, threads: int, rounds: int) -> dict[str, Any]:
    """Medians in milliseconds and resident bytes of both, and their ratios."""
    workers = {
        "int8": Worker("engine", engine, threads),
        "pytorch_fp32": Worker("pytorch", checkpoint, threads),
    }
    for _ in range(rounds):
        for worker in workers.values():
            worker.run()
    medians = {name: float(np.median(worker.taken_ms)) for name, worker in workers.items()}
    resident = {name: worker.end() for name, worker in workers.items()}
    return {
        "threads": threads,
        "rounds": rounds,
        "median_ms": medians,
        "times_faster": medians["pytorch_fp32"] / medians["int8"],
        "resident_mib": {name: size / MIB for name, size in resident.items()},
        "share_of_memory": resident["int8"] / resident["pytorch_fp32"],
    }


def measure(folder: Path, threads: int, rounds: int) -> dict[str, Any]:
    """Write the checkpoint, import it, and compare."""
    checkpoint, repository = folder / "checkpoint", folder / "repository"
    if not checkpoint.is_dir():
        write_checkpoint(checkpoint)
    begun = time.perf_counter()
    card = import_checkpoint(Import(str(checkpoint), "base", force=True), repository)
    import_seconds = time.perf_counter() - begun
    engine = repository / "base" / "1" / ENGINE_FILE
    return {
        "import_seconds": import_seconds,
        "engine_mib": card.engine_bytes / MIB,
        "reference_mib": card.reference_bytes / MIB,
        "drift": card.drift.model_dump(),
        "invariance": card.invariance.model_dump(),
        **compare(checkpoint, engine, threads, rounds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="An imported BERT-base beside PyTorch.")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=60, help="runs of each, in turn")
    parser.add_argument("--keep", type=Path, help="folder to work in, and to leave")
    parser.add_argument("--worker", nargs=2, metavar=("KIND", "PATH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker[0], Path(options.worker[1]), options.threads)
        return
    with tempfile.TemporaryDirectory(prefix="sub50-imported-") as temporary:
        folder = options.keep or Path(temporary)
        print(json.dumps(measure(folder, options.threads, options.rounds), indent=2))


if __name__ == "__main__":
    main()
