"""Names that a model can have."""

from __future__ import annotations

import pytest

from engines.errors import EngineError
from engines.model_name import require_name


@pytest.mark.parametrize("name", ["sentiment", "v2.1", "a", "9-lives", "Mood_of_day"])
def test_a_name_of_letters_and_digits_will_do(name: str) -> None:
    require_name(name, "--name")


@pytest.mark.parametrize("name", ["", ".hidden", "-option", "a/b", "a b", "stimmung-ä", "a\n"])
def test_what_no_folder_or_address_could_hold_is_refused(name: str) -> None:
    with pytest.raises(EngineError, match=r"--name .*use letters, digits"):
        require_name(name, "--name")
