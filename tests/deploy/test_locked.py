"""The images' lists of packages: hashed, and true to pyproject.toml and constraints.txt."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from engines.base import PACKAGE
from tests.deploy.conftest import ROOT

LISTS = ROOT / "deploy" / "docker" / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# For each list, what it leaves out and which extras it has: as in the Makefile's `lock`.
LOCKED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "api": (("without-triton", "without-engines"), ("otel",)),
    "engines": (("without-triton",), ()),
    "loadtest": (("without-triton", "without-engines"), ("loadtest",)),
    "all-in-one": ((), ("otel",)),
}
# What the images run on.
IMAGE = {
    "python_version": "3.11",
    "python_full_version": "3.11.17",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "os_name": "posix",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}


def lines_of(path: Path) -> list[str]:
    joined = path.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in joined.splitlines() if line and not line.lstrip().startswith("#")]


def pins(path: Path) -> dict[str, str]:
    """Version by name, from lines `name==version …`."""
    found = (re.match(r"([A-Za-z0-9._-]+)==(\S+)", line) for line in lines_of(path))
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def left_out(names: tuple[str, ...]) -> set[str]:
    requirements = [Requirement(line) for name in names for line in lines_of(LISTS / f"{name}.in")]
    return {canonicalize_name(requirement.name) for requirement in requirements}


def holds(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({**IMAGE, "extra": extra})


def needed(name: str, extras: frozenset[str], out: set[str], found: dict[str, set[str]]) -> None:
    """Put what a package needs, and what that needs, into `found`, each with its extras."""
    fresh = extras | {""}
    if name in found and fresh <= found[name]:
        return
    found[name] = found.get(name, set()) | fresh
    try:
        declared = requires(name) or []
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed here, so what it needs is not known")
    for requirement in map(Requirement, declared):
        below = canonicalize_name(requirement.name)
        if below not in out and any(holds(requirement, extra) for extra in fresh):
            needed(below, frozenset(requirement.extras), out, found)


@pytest.mark.parametrize("name", [*LOCKED, "build", "encoder"])
def test_every_package_has_its_hashes_and_the_version_that_was_tested(name: str) -> None:
    lines = lines_of(LISTS / f"{name}.txt")
    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==\S+(\s+--hash=sha256:[0-9a-f]{64})+\s*", line), line
    tested = pins(ROOT / "constraints.txt")
    if name != "encoder":  # an engine's material, and no package of an environment
        locked = pins(LISTS / f"{name}.txt")
        assert {p: tested.get(p) for p in locked} == locked, "make lock"


@pytest.mark.parametrize("name", LOCKED)
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the lists are for Python 3.11")
def test_a_list_is_what_the_project_needs_and_no_more(name: str) -> None:
    overrides, extras = LOCKED[name]
    project = PROJECT["project"]
    declared = [*project["dependencies"]]
    declared += [each for extra in extras for each in project["optional-dependencies"][extra]]
    out, found = left_out(overrides), dict[str, set[str]]()
    for requirement in map(Requirement, declared):
        if canonicalize_name(requirement.name) not in out and holds(requirement, ""):
            needed(canonicalize_name(requirement.name), frozenset(requirement.extras), out, found)
    assert set(pins(LISTS / f"{name}.txt")) == set(found), "make lock"


def test_our_wheel_is_made_by_what_pyproject_asks_for() -> None:
    (asked,) = map(Requirement, PROJECT["build-system"]["requires"])
    assert pins(LISTS / "build.txt").keys() == {asked.name}
    assert pins(LISTS / "build.txt")[asked.name] in asked.specifier


def test_the_encoder_is_the_one_that_engines_are_built_of() -> None:
    assert pins(LISTS / "encoder.txt") == pins(LISTS / "encoder.in")
    assert [f"{name}=={version}" for name, version in pins(LISTS / "encoder.in").items()] == [
        PACKAGE
    ]


def test_the_makefile_locks_these_lists() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = text.partition("\nlock:")[2].partition("\n\n")[0]
    assert {Path(path).stem for path in re.findall(r"-o \$\(LISTS\)/(\S+)", recipe)} == {
        path.stem for path in LISTS.glob("*.txt")
    }
    for name, (overrides, extras) in LOCKED.items():
        (line,) = (line for line in recipe.splitlines() if line.endswith(f"/{name}.txt"))
        assert [f"without-{o.lower()}" for o in re.findall(r"NO_(\w+)", line)] == list(overrides)
        assert re.findall(r"--extra (\S+)", line) == list(extras)
