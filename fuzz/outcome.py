"""What one part of the fuzzing came to."""

from __future__ import annotations

from dataclasses import dataclass, field

# More would not be read.
MOST_FINDINGS = 20


@dataclass
class Outcome:
    """Counts of one part; `findings` says what the first failures were, and how to see them again.

    `server_errors` are answers with 5xx, `undocumented` those with a status, media type, header or
    body that the OpenAPI document does not have, `let_in` those to who had no key for it, `other`
    everything else: no answer, a hang, a crash, a property that does not hold.
    """

    part: str
    inputs: int = 0
    server_errors: int = 0
    undocumented: int = 0
    other: int = 0
    let_in: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def failures(self) -> int:
        """All of them."""
        return self.server_errors + self.undocumented + self.other + self.let_in

    def server_error(self, finding: str) -> None:
        """Count an answer with 5xx."""
        self.server_errors += 1
        self._note(finding)

    def undocumented_answer(self, finding: str) -> None:
        """Count an answer that the document does not have."""
        self.undocumented += 1
        self._note(finding)

    def somebody_let_in(self, finding: str) -> None:
        """Count an answer to who had no key for it."""
        self.let_in += 1
        self._note(finding)

    def other_failure(self, finding: str) -> None:
        """Count anything else that must not be."""
        self.other += 1
        self._note(finding)

    def _note(self, finding: str) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)
