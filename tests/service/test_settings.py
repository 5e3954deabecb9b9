"""Settings: defaults, environment, and that the README names every one."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import ENVIRONMENT_PREFIX, Settings

README = Path(__file__).parent.parent.parent / "README.md"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_help_line_and_stands_in_the_readme(name: str) -> None:
    assert Settings.model_fields[name].description
    assert f"`{ENVIRONMENT_PREFIX}{name.upper()}`" in README.read_text(encoding="utf-8")


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
