"""Promote and roll back an engine again and again under load, and count what that costs.

    .venv/bin/python -m benchmarks.promote_under_load [--rate 150] [--changes 10] [--rounds 1]
        [--shadow 20s]

Starts `sub50 serve` on a copy of `sentiment`, offers sentences in an open loop (Poisson), first
with nothing else going on, then while another version and the first one take turns; so many rounds
of both. The other one is the same engine with its logits shifted a little, so it costs the same.
With `--shadow` every promotion has it answer copies of the requests first. Needs the `loadtest`
extra and a built engine.
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
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from core.card import ENGINE_FILE, read_card, write_card
from core.versions import served_folder
from engines.checksums import file_sha256
from engines.shadow_option import seconds_of
from loadtest.generate import generate
from loadtest.percentiles import percentile
from loadtest.plan import Plan
from loadtest.records import ERROR, OK, REFUSED, TIMEOUT, Records
from loadtest.stack import running_service

MODEL = "sentiment"
SHIFT = 0.25
WARM_UP_SECONDS = 10.0
PAUSE_SECONDS = 1.0


def make_candidate(version: Path, target: Path, shift: float = SHIFT) -> None:
    """A version folder whose engine moves the logits of `version` by `shift` (down, up)."""
    target.mkdir(parents=True)
    for path in version.iterdir():
        shutil.copyfile(path, target / path.name)
    model = onnx.load(version / ENGINE_FILE)
    name = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = [f"{each}.before" if each == name else each for each in node.output]
    values = np.array([-shift, shift], dtype=np.float32)
    model.graph.initializer.append(numpy_helper.from_array(values, f"{name}.shift"))
    model.graph.node.append(
        helper.make_node("Add", [f"{name}.before", f"{name}.shift"], [name], f"{name}.shifted")
    )
    onnx.save(model, target / ENGINE_FILE)
    changed = {
        "engine_sha256": file_sha256(target / ENGINE_FILE),
        "engine_bytes": (target / ENGINE_FILE).stat().st_size,
    }
    write_card(read_card(target).model_copy(update=changed), target)


def change(repository: Path, *verb: str) -> str:
    """Run `sub50 engines …` and return how long it took, or why it was refused."""
    begun = time.monotonic()
    done = subprocess.run(
        [Path(sys.executable).with_name("sub50"), "engines", *verb, "--json"],
        env=os.environ | {"SUB50_REPOSITORY": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    took_seconds = time.monotonic() - begun
    if done.returncode != 0:
        return f"{verb[0]:9} refused after {took_seconds:.1f} s: {done.stderr.strip()}"
    found = json.loads(done.stdout)
    switch_seconds = found["seconds_to_switch"]
    told = f"{verb[0]:9} {took_seconds:5.1f} s in all, {switch_seconds:4.1f} s to the switch"
    if shadow := found["shadow"]:
        told += (
            f"; {shadow['copies']} copies ({shadow['dropped']} dropped), "
            f"{shadow['labels_changed']} of {shadow['labels_compared']} labels changed, "
            f"P99 {shadow['candidate_p99_ms']:.1f} and {shadow['served_p99_ms']:.1f} ms"
        )
    return told


def take_turns(repository: Path, candidate: Path, changes: int, shadow: str | None) -> list[str]:
    """So many promotions and roll-backs; for each what came of it."""
    told = []
    time.sleep(WARM_UP_SECONDS)
    for number in range(changes):
        if number % 2:
            verb = ["rollback", MODEL]
        else:
            is_there = (repository / MODEL / "2").is_dir()
            verb = ["promote", MODEL, "2" if is_there else str(candidate)]
            verb += ["--shadow", shadow] if shadow else []
        told.append(change(repository, *verb))
        time.sleep(PAUSE_SECONDS)
    return told


def joined(records: list[Records]) -> Records:
    """Several records as one."""
    names = ("scheduled_us", "sent_us", "finished_us", "outcome", "status", "kind")
    arrays = {name: np.concatenate([getattr(each, name) for each in records]) for name in names}
    return Records(**arrays, kinds=records[0].kinds)


def report(title: str, measured: Records) -> None:
    """Print counts and percentiles of what was sent."""
    refused = int(np.sum(measured.outcome == REFUSED))
    failed = measured.status[(measured.outcome == ERROR) | (measured.outcome == TIMEOUT)]
    by_status = ", ".join(f"{n} of {status}" for status, n in sorted(Counter(failed).items()))
    accepted_ms = measured.latency_us[measured.outcome == OK] / 1000
    lag_ms = measured.lag_us / 1000
    print(
        f"{title}: {len(measured)} requests, {len(failed)} failed ({by_status or 'none'}), "
        f"{refused} refused, accepted P50 {percentile(accepted_ms, 50):.1f} ms, "
        f"P99 {percentile(accepted_ms, 99):.1f} ms, over 50 ms {int(np.sum(accepted_ms > 50))} "
        f"(the generator's own lag: P99 {percentile(lag_ms, 99):.1f} ms)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=150.0, help="sentences per second")
    parser.add_argument("--changes", type=int, default=10, help="promotions and roll-backs")
    parser.add_argument("--rounds", type=int, default=1, help="of a quiet run and a promoting one")
    parser.add_argument("--shadow", help="have promotions shadow for so long, as 20s")
    parser.add_argument("--quiet-seconds", type=float, default=60.0)
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    arguments = parser.parse_args()
    version = served_folder(arguments.repository / MODEL)
    if version is None:
        raise SystemExit(f"no {MODEL} in {arguments.repository}: `sub50 engines build` first")
    with tempfile.TemporaryDirectory(prefix="sub50-promote-") as work:
        folder = Path(work)
        repository = folder / "models"
        shutil.copytree(version, repository / MODEL / "1")
        for path in (arguments.repository / MODEL).glob("*.*"):
            if path.is_file():
                shutil.copy(path, repository / MODEL)
        make_candidate(repository / MODEL / "1", folder / "candidate")
        os.environ["SUB50_REPOSITORY"] = str(repository)
        with running_service(folder / "service") as url:
            measure(url, folder, repository, arguments)


def measure(url: str, folder: Path, repository: Path, arguments: argparse.Namespace) -> None:
    """The quiet runs, and those with promotions in them."""
    common = {"host": url, "rate_per_second": arguments.rate, "warm_up_seconds": WARM_UP_SECONDS}
    # About nine seconds each: loading, golden requests, five seconds of watching.
    seconds = 10.0 * arguments.changes
    if arguments.shadow:
        seconds += (arguments.changes + 1) // 2 * seconds_of(arguments.shadow)
    quiet: list[Records] = []
    promoting: list[Records] = []
    for number in range(arguments.rounds):
        plan = Plan(
            **common,
            duration_seconds=arguments.quiet_seconds,
            texts="sentence",
            seed=2 * number + 1,
        )
        quiet.append(generate(plan, folder / "quiet").measured(WARM_UP_SECONDS))
        report("no promotion", quiet[-1])
        plan = Plan(**common, duration_seconds=seconds, texts="sentence", seed=2 * number + 2)
        with ThreadPoolExecutor(1) as pool:
            turns = pool.submit(
                take_turns, repository, folder / "candidate", arguments.changes, arguments.shadow
            )
            records = generate(plan, folder / "promoting")
            told = turns.result()
        promoting.append(records.measured(WARM_UP_SECONDS))
        report(f"{arguments.changes} promotions and roll-backs", promoting[-1])
        for line in told:
            print(f"  {line}", flush=True)
    if arguments.rounds > 1:
        report("all rounds, no promotion", joined(quiet))
        report("all rounds, promotions and roll-backs", joined(promoting))


if __name__ == "__main__":
    main()
