"""What the images ship is listed with its licence, and each licence was looked at."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from tests.deploy.conftest import DEPLOY
from tests.deploy.test_locked import LISTS, LOCKED, pins

TABLE = DEPLOY / "docker" / "THIRD_PARTY_LICENSES.md"
REVIEWED: dict[str, dict[str, dict[str, str]]] = tomllib.loads(
    (DEPLOY / "docker" / "reviewed-licences.toml").read_text(encoding="utf-8")
)
# Ask for no more than that the notice is kept, which installing the whole package does.
PERMISSIVE = re.compile(
    r"(mit|mit-cmu|isc|bsd|0bsd|[23]-clause bsd|bsd-[23]-clause|apache|apache-2\.0"
    r"|apache 2\.0|apache software|psf-2\.0|python software foundation|zpl-2\.1)"
    r"( license)?( \(iscl\))?"
)


def rows() -> dict[str, tuple[str, str]]:
    """Version and licence by name, from the table."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    cells = ([c.strip() for c in line.strip("|").split("|")] for line in lines if "|" in line)
    found = {canonicalize_name(name): (version, licence) for name, version, licence, *_ in cells}
    return {name: row for name, row in found.items() if name[0].isalnum() and name != "name"}


def shipped() -> dict[str, str]:
    """Version by name, of all the images."""
    return {name: v for one in LOCKED for name, v in pins(LISTS / f"{one}.txt").items()}


def unreviewed(name: str, licence: str, reviewed: dict[str, Any]) -> bool:
    """Whether nobody has looked at a package's licence. Of alternatives, one that is fine is."""
    if name in reviewed:
        return bool(reviewed[name]["licence"] != licence)
    alternatives = licence.lower().split(" or ")
    return not any(
        all(PERMISSIVE.fullmatch(part.strip()) for part in re.split(r" and |;", each))
        for each in alternatives
    )


def test_the_table_names_all_that_ships_and_nothing_else() -> None:
    assert {name: version for name, (version, _) in rows().items()} == shipped(), "make licences"


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_licence_is_permissive_or_was_looked_at(name: str) -> None:
    licence = rows()[name][1]
    assert not unreviewed(name, licence, REVIEWED["declared"]), licence


@pytest.mark.parametrize(
    "licence", ["UNKNOWN", "", "GPL-3.0-only", "LGPL-2.1", "MIT AND GPL-2.0", "MPL-2.0", "Other"]
)
def test_another_licence_would_be_seen(licence: str) -> None:
    assert unreviewed("some-package", licence, REVIEWED["declared"])


def test_of_alternatives_one_is_enough() -> None:
    assert not unreviewed("some-package", "GPL-2.0 OR MIT", {})


def test_what_was_looked_at_ships_and_has_a_reason() -> None:
    for kind in ("declared", "bundled"):
        assert REVIEWED[kind].keys() <= shipped().keys()
        assert all(each["licence"] and each["reason"] for each in REVIEWED[kind].values())


def test_a_change_of_licence_would_be_seen() -> None:
    assert unreviewed("certifi", "GPL-3.0-only", REVIEWED["declared"])


def test_libraries_inside_wheels_were_looked_at() -> None:
    found = set()
    for name in shipped():
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:
            continue
        if any(file.parts[0].endswith(".libs") for file in files):
            found.add(name)
    assert found
    assert found <= REVIEWED["bundled"].keys()
