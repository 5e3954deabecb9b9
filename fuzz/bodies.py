"""Bodies of requests, guided by what they reach in the service: Atheris, in its own process."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from fuzz.command import ROOT, run_logged
from fuzz.errors import FuzzError
from fuzz.in_process import ServerFault, UndocumentedAnswer
from fuzz.outcome import Outcome

PART = "bodies, guided by coverage"
CORPUS = Path(__file__).parent / "corpus"
INPUT_SECONDS = 20
MOST_MEGABYTES = 3000
LONGEST_BYTES = 4096
EXECUTED = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
KEPT = re.compile(r"Test unit written to (\S+)")
RAISED = re.compile(r"=== Uncaught Python exception: ===\n(.*)")


def fuzz_bodies(inputs: int, seed: int, folder: Path) -> Outcome:
    """`inputs` bodies; the log, and an input that failed, are left in `folder`. The first ends it.

    Raises:
        FuzzError: Atheris is not installed, or could not be run.
    """
    if find_spec("atheris") is None:
        raise FuzzError("Atheris is not installed; `pip install -e '.[fuzz]'` brings it on Linux")
    found = folder / "found"
    found.mkdir(parents=True, exist_ok=True)
    log = folder / "atheris.log"
    with TemporaryDirectory(prefix="sub50-fuzz-") as repository:
        command = [
            sys.executable,
            "-m",
            "fuzz.guided",
            repository,
            f"-runs={inputs}",
            # 0 is libFuzzer's word for a seed of its own choice.
            f"-seed={seed + 1}",
            f"-timeout={INPUT_SECONDS}",
            f"-rss_limit_mb={MOST_MEGABYTES}",
            f"-max_len={LONGEST_BYTES}",
            "-print_final_stats=1",
            f"-artifact_prefix={folder}/",
            str(found),
            str(CORPUS),
        ]
        told = run_logged(command, log, environment={"PYTHONPATH": str(ROOT)})
    return outcome_of(told, log)


def outcome_of(told: str, log: Path) -> Outcome:
    """What libFuzzer `told`, which is in `log`, in our terms.

    Raises:
        FuzzError: it did not come to run.
    """
    executed = EXECUTED.search(told)
    if executed is None:
        raise FuzzError(f"Atheris did not run; see {log}")
    outcome = Outcome(PART, inputs=int(executed[1]))
    kept = KEPT.search(told)
    if kept is not None:
        raised = RAISED.search(told)
        finding = f"{raised[1][:300] if raised else 'see the log'} (input {kept[1]}, log {log})"
        if ServerFault.__name__ in finding:
            outcome.server_error(finding)
        elif UndocumentedAnswer.__name__ in finding:
            outcome.undocumented_answer(finding)
        else:
            outcome.other_failure(finding)
    return outcome
