"""`--shadow 10m --shadow-share 0.1`: what is taken, and what is told of anything else."""

from __future__ import annotations

import pytest

from engines.errors import PromotionError
from engines.shadow_option import seconds_of, shown_shadow


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("24h", 86_400), (" 1m ", 60)]
)
def test_a_length_of_time(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-1m", "0s", "25h", "10 minutes", "1e9s"])
def test_what_is_no_length_of_time_is_told(text: str) -> None:
    with pytest.raises(PromotionError, match=r"--shadow .*90s, 10m or 1h, at most 24h"):
        seconds_of(text)


@pytest.mark.parametrize("share", [0.0, -1.0, 1.1, float("nan")])
def test_a_share_is_over_0_and_at_most_1(share: float) -> None:
    with pytest.raises(PromotionError, match="--shadow-share"), shown_shadow("10m", share):
        pass


def test_progress_is_shown_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_shadow("10m", 0.5) as shadow:
        assert (shadow.seconds, shadow.share) == (600, 0.5)
        figures = {"copies": 7, "dropped": 1, "labels_compared": 6, "labels_changed": 0}
        shadow.on_progress({"seconds": 600.0, "seconds_left": 300.0, **figures})
    captured = capsys.readouterr()
    assert captured.out == ""
