"""Settings: defaults, environment, and that the README names every one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import ENVIRONMENT_PREFIX, Settings

README = Path(__file__).parent.parent.parent / "README.md"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_help_line_and_stands_in_the_readme(name: str) -> None:
    assert Settings.model_fields[name].description
    variable = f"{ENVIRONMENT_PREFIX}{name.upper()}"
    row = re.search(rf"^\| `{variable}` \| (.*?) ?\| .+ \|$", README.read_text("utf-8"), re.M)
    assert row is not None
    default = Settings.model_fields[name].default
    if isinstance(default, float):
        default = f"{default:g}"
    assert row[1] == ("" if default in (None, ()) else str(default))


def test_the_readme_lists_no_setting_that_is_none() -> None:
    rows = re.findall(rf"^\| `{ENVIRONMENT_PREFIX}(\w+)` \|", README.read_text("utf-8"), re.M)
    assert {name.lower() for name in rows} == set(Settings.model_fields)


def test_the_environment_overrides_and_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUB50_MAX_INPUTS", "7")
    assert Settings().max_inputs == 7
    monkeypatch.setenv("SUB50_MAX_INPUTS", "none")
    with pytest.raises(ValidationError, match="max_inputs"):
        Settings()


def test_settings_are_frozen_and_keys_are_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUB50_API_KEYS", '["hunter2"]')
    settings = Settings()
    assert "hunter2" not in repr(settings)
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]
