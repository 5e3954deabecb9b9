"""What has to hold for any input: the tests that Hypothesis makes inputs for, with many of them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from fuzz.command import run_logged
from fuzz.errors import FuzzError
from fuzz.outcome import Outcome

PART = "properties (Hypothesis)"
# How many inputs a property gets is tests/conftest.py's to read.
EXAMPLES_VARIABLE = "FUZZ_EXAMPLES"
FILES = (
    "tests/core/test_sentences.py",
    "tests/fuzz/test_properties.py",
    "tests/loadtest/test_binomial.py",
    "tests/loadtest/test_verdict.py",
    "tests/service/test_backlog.py",
    "tests/service/test_body_shape.py",
    "tests/service/test_cost.py",
)
TRIED = re.compile(r"(\d+) passing, (\d+) failing, and (\d+) invalid test cases")
FALSE = re.compile(r"^FAILED (\S+)", re.MULTILINE)


def fuzz_properties(examples: int, seed: int, folder: Path) -> Outcome:
    """`examples` inputs for each property; the log, with what failed, is left in `folder`.

    Raises:
        FuzzError: the tests could not be run.
    """
    log = folder / "hypothesis.log"
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *FILES),
        *(f"--hypothesis-seed={seed}", "--hypothesis-show-statistics"),
    ]
    told = run_logged(command, log, environment={EXAMPLES_VARIABLE: str(examples)})
    return outcome_of(told, f"seed {seed}, see {log}")


def outcome_of(told: str, where: str) -> Outcome:
    """What pytest `told` in our terms.

    Raises:
        FuzzError: no property was tried.
    """
    tried = [tuple(map(int, found)) for found in TRIED.findall(told)]
    if not tried:
        raise FuzzError(f"no property was tried ({where})")
    # Invalid ones were made and thrown away by the property itself.
    outcome = Outcome(PART, inputs=sum(passing + failing for passing, failing, _ in tried))
    for name in FALSE.findall(told):
        outcome.other_failure(f"{name} ({where})")
    return outcome
