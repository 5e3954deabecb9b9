from pathlib import Path

import pytest

from loadtest.steal import Steal, processor_times


def write(path: Path, *times: int) -> None:
    path.write_text(f"cpu  {' '.join(map(str, times))}\ncpu0 1 2 3 4 5 6 7 8 9 10\n")


@pytest.fixture
def stat(tmp_path: Path) -> Path:
    path = tmp_path / "stat"
    write(path, 100, 0, 50, 800, 5, 0, 5, 40, 9, 9)
    return path


def test_it_is_a_part_of_all_time_since_it_was_made(stat: Path) -> None:
    steal = Steal(stat)
    # 40 user, 10 system, 30 idle, 20 stolen; what guests took stands in user already.
    write(stat, 140, 0, 60, 830, 5, 0, 5, 60, 500, 500)
    assert steal.share() == pytest.approx(0.2)
    assert steal.shown() == "20.0 %"
    assert "20.0 % of this machine's processor time" in (steal.warning() or "")


def test_a_little_is_not_worth_a_line(stat: Path) -> None:
    steal = Steal(stat)
    write(stat, 1090, 0, 50, 800, 5, 0, 5, 49, 9, 9)
    assert steal.shown() == "0.9 %"
    assert steal.warning() is None


@pytest.mark.parametrize("text", [None, "", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8 9", "cpu a b c d e"])
def test_a_system_that_does_not_tell_is_not_blamed(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "stat"
    if text is not None:
        path.write_text(text)
    steal = Steal(path)
    assert steal.share() is None
    assert steal.shown() == "–"
    assert steal.warning() is None


def test_nothing_is_told_of_no_time(stat: Path) -> None:
    assert Steal(stat).share() is None


def test_this_machine_is_read() -> None:
    if not Path("/proc/stat").exists():
        pytest.skip("not Linux: nothing counts steal here")
    assert len(processor_times(Path("/proc/stat"))) == 8
