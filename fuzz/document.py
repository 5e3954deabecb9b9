"""Requests made from the OpenAPI document, valid and invalid ones, one after the other and chained.

Schemathesis makes them: every example, every edge of every schema, random ones, and sequences along
the document's links. It holds each answer to the document.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from fuzz.command import run_logged
from fuzz.errors import FuzzError
from fuzz.outcome import Outcome
from fuzz.target import Target

PART = "requests from the OpenAPI document"
# About as many come of one example for each operation: six are random, the others are chained.
INPUTS_PER_EXAMPLE = 12
CHECKS = Path(__file__).with_name("document_checks.py")
SETTINGS = f"""
seed = {{seed}}
# Python 3.11's parser, which Hypothesis asks, fails now and then in threads.
workers = 1
color = false
continue-on-failure = true
warnings = false
hooks = {json.dumps(str(CHECKS))}

# Random strings would rarely name a model.
[dictionaries.names]
values = ["sentiment", "topics", "general", "contracts", "../sentiment", "sentiment\\u0000"]

[generation.dictionaries]
string = {{{{ dictionary = "names", probability = 0.1 }}}}

# document_checks.py stands in for it: a deadline of the client's own may pass.
[checks]
not_a_server_error.enabled = false

# Which parameters are taken depends on the model's task, which no schema of one route can say.
[[operations]]
include-path = "/hf/{{{{model}}}}"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "422", "429", "504"]
"""
SERVER_ERROR = "CustomFailure"
# The document has the answer, but it is the wrong one.
WRONG_ANSWERS = ("RejectedPositiveData", "AcceptedNegativeData")


def fuzz_document(
    target: Target, inputs: int, seed: int, folder: Path, phases: str = ""
) -> Outcome:
    """About `inputs` requests; the log of Schemathesis, with each failure, is left in `folder`.

    `phases` chooses from `examples,coverage,fuzzing,stateful`; by default all.

    Raises:
        FuzzError: Schemathesis could not be run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings, log = folder / "schemathesis.toml", folder / "schemathesis.log"
    report = folder / "schemathesis.json"
    report.unlink(missing_ok=True)
    settings.write_text(SETTINGS.format(seed=seed), encoding="utf-8")
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        f"--config-file={settings}",
        "run",
        f"{target.url}/openapi.json",
        f"--max-examples={max(1, inputs // INPUTS_PER_EXAMPLE)}",
        "--report=json",
        f"--report-json-path={report}",
        *([f"--phases={phases}"] if phases else []),
    ]
    run_logged(command, log, folder)
    if not report.is_file():
        raise FuzzError(f"Schemathesis did not run; see {log}")
    return outcome_of(json.loads(report.read_text(encoding="utf-8")), f"seed {seed}, see {log}")


def outcome_of(report: dict[str, Any], where: str) -> Outcome:
    """Schemathesis' report in our terms; `where` tells how to see its failures again."""
    outcome = Outcome(PART, inputs=report["test_cases"]["generated"])
    for failure in report["failures"]:
        found = f"{failure['title']} at {', '.join(failure['operations'])} ({where})"
        for _ in range(failure["count"]):
            if failure["type"] == SERVER_ERROR:
                outcome.server_error(found)
            elif failure["type"] in WRONG_ANSWERS:
                outcome.other_failure(found)
            else:
                outcome.undocumented_answer(found)
    for error in report["errors"]:
        outcome.other_failure(f"Schemathesis failed: {str(error)[:500]} ({where})")
    if not report["complete"]:
        outcome.other_failure(f"Schemathesis stopped early: {report['stop_reason']} ({where})")
    return outcome
