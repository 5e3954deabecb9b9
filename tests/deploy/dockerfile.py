"""Reads the Dockerfile: the instructions that ours uses, and no others."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

KEYWORDS = {"ENV", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
# What a builder notes and nothing here has to carry out.
NOTED = {"STOPSIGNAL"}


@dataclass(frozen=True)
class Step:
    """One instruction: its keyword, and the rest of its line."""

    keyword: str
    rest: str


@dataclass
class Stage:
    """One `FROM … AS name` with its steps; `base` is an image, or an earlier stage's name.

    `arguments` are the ARGs of the stage, with their defaults.
    """

    name: str
    base: str
    steps: list[Step] = field(default_factory=list)
    arguments: dict[str, str] = field(default_factory=dict)


def instructions(text: str) -> list[Step]:
    """The instructions of a Dockerfile, each on one line, without comments."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    found = (line.split(None, 1) for line in joined.splitlines() if line.strip())
    return [Step(keyword.upper(), rest[0].strip()) for keyword, *rest in found]


def read_stages(path: Path) -> dict[str, Stage]:
    """The stages by name, in order.

    Raises:
        ValueError: an instruction, or a form of one, that is not known here.
    """
    outer: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for step in instructions(path.read_text(encoding="utf-8")):
        if step.keyword == "FROM":
            base, word, name = step.rest.split()
            if word.upper() != "AS" or "$" in name:
                raise ValueError(f"FROM without a plain name: {step.rest}")
            stage = stages[name] = Stage(name, substitute(base, outer))
        elif step.keyword == "ARG":
            name, _, value = step.rest.partition("=")
            (outer if stage is None else stage.arguments)[name] = value.strip('"')
        elif stage is not None and step.keyword in KEYWORDS:
            stage.steps.append(step)
        elif step.keyword not in NOTED:
            raise ValueError(f"unknown instruction: {step.keyword} {step.rest}")
    return stages


def substitute(text: str, variables: dict[str, str]) -> str:
    """Replace `$NAME` and `${NAME}`; a name that has no value is an error."""
    return re.sub(r"\$\{?(\w+)\}?", lambda found: variables[found[1]], text)


def assignments(rest: str) -> dict[str, str]:
    """The pairs of an ENV: `A=b C=d`, without quotes or spaces in them."""
    pairs = (word.partition("=") for word in rest.split())
    return {name: value for name, _, value in pairs}


def command_of(rest: str) -> list[str]:
    """A command in the form that no shell reads: `["program", "argument"]`."""
    words = json.loads(rest)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"not a JSON list of strings: {rest}")
    return words


def healthcheck_of(rest: str) -> list[str]:
    """The command of a HEALTHCHECK."""
    return command_of(re.sub(r"^(--\S+\s+)*CMD\s+", "", rest))


class Ignored:
    """What `.dockerignore` leaves out: the last pattern that fits a path decides."""

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines()]
        patterns = [line for line in lines if line and not line.startswith("#")]
        self._rules = [(self._regex(p.removeprefix("!")), p.startswith("!")) for p in patterns]

    @staticmethod
    def _regex(pattern: str) -> re.Pattern[str]:
        parts = re.split(r"(\*\*/|\*)", pattern.strip("/"))
        known = {"**/": "(?:.*/)?", "*": "[^/]*"}
        # A folder's pattern holds for all that is below it.
        return re.compile("".join(known.get(p, re.escape(p)) for p in parts) + "(?:/.*)?")

    def __call__(self, path: str) -> bool:
        kept = True
        for regex, keeps in self._rules:
            if regex.fullmatch(path):
                kept = keeps
        return not kept
