"""`sub50 keys` as people use it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.cli import app
from service.keys.store import KeyStore
from service.settings import Settings

runner = CliRunner()


def keys(*arguments: str, standard_input: str | None = None) -> Result:
    return runner.invoke(app, ["keys", *arguments], input=standard_input)


def test_a_new_key_is_shown_with_its_line() -> None:
    result = keys("new", "ana", "--rate", "100", "--burst", "200")
    assert result.exit_code == 0
    (_, key), (_, line) = (row.split(maxsplit=1) for row in result.stdout.splitlines())
    assert line.startswith("ana sha256:")
    assert line.endswith(" rate=100 burst=200")
    assert KeyStore(Settings(api_keys=[line])).callers.find(key)  # type: ignore[list-item]
    assert "shown this once" in result.stderr


def test_json_is_for_programs() -> None:
    made = json.loads(keys("new", "ana", "--json").stdout)
    assert sorted(made) == ["key", "line", "name"]
    assert KeyStore(Settings(api_keys=[made["line"]])).callers.find(made["key"])


def test_lines_are_added_to_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    made = [json.loads(keys("new", name, "--file", str(path), "--json").stdout) for name in "ab"]
    path.write_text(path.read_text().rstrip("\n"))  # as some editors leave it
    made.append(json.loads(keys("new", "c", "--file", str(path), "--json").stdout))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    store = KeyStore(Settings(api_keys_file=path))
    assert [store.callers.find(one["key"]).name for one in made] == ["a", "b", "c"]  # type: ignore[union-attr]
    assert not any(one["key"] in path.read_text() for one in made)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("a b",), "is no name"),
        (("ana", "--rate", "fast"), "wrong rate"),
        (("ana", "--rate", "0"), "wrong rate"),
    ],
)
def test_what_is_no_line_is_refused(arguments: tuple[str, ...], told: str) -> None:
    result = keys("new", *arguments)
    assert result.exit_code == 1
    assert told in result.stderr
    assert result.stdout == ""


def test_a_file_is_not_broken_by_a_new_line(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    assert keys("new", "ana", "--rate", "1", "--file", str(path)).exit_code == 0
    before = path.read_text()
    result = keys("new", "ana", "--rate", "2", "--file", str(path))
    assert "one name and two rates" in result.stderr
    assert path.read_text() == before
    assert "cannot write" in keys("new", "ana", "--file", str(tmp_path)).stderr


def test_plain_keys_become_hashes_that_let_the_same_keys_in(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    hashed = json.loads(keys("new", "ana", "--json").stdout)
    path.write_text(f"# für alle\x0b\n\nhunter2\n  {hashed['line']}\nhunter3\n")
    path.chmod(0o600)
    result = keys("convert", str(path))
    assert result.exit_code == 0
    assert "hunter" not in result.stdout
    assert result.stdout.startswith("# für alle")
    assert keys("convert", "-", standard_input=path.read_text()).stdout == result.stdout
    path.write_text(result.stdout)
    store = KeyStore(Settings(api_keys_file=path))
    assert all(map(store.callers.find, ("hunter2", "hunter3", hashed["key"])))
    assert not any(line.was_plain for line in store.files[0].lines)
    assert keys("convert", str(path)).stdout == result.stdout


def test_a_file_that_cannot_be_converted_is_named(tmp_path: Path) -> None:
    result = keys("convert", str(tmp_path / "keys"))
    assert result.exit_code == 1
    assert f"{tmp_path / 'keys'}: cannot be read" in result.stderr


def test_a_key_that_manages_is_told_apart() -> None:
    result = keys("new", "root", "--management")
    assert result.stdout.startswith("key   sub50_manage_")
    assert "SUB50_MANAGEMENT_KEYS_FILE" in result.stderr
    assert "has no rate" in keys("new", "root", "--management", "--rate", "5").stderr
