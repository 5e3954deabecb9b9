"""The page of a profile with a GPU, from a trace written by hand: none was recorded on one."""

from __future__ import annotations

from pathlib import Path

from engines.html_report import write_page
from engines.onnxruntime_trace import rounds_of
from engines.profile_advice import advice_of
from engines.profile_page import banner, sections
from engines.profile_record import Profile, Profiling
from engines.profile_table import NOTHING, advised
from engines.profile_totals import by_operator, gpu_times
from tests.engines.test_onnxruntime_trace import ON_A_GPU
from tests.engines.test_profile_advice import profile


def page_of(found: Profile, tmp_path: Path) -> str:
    shown = rounds_of(ON_A_GPU)[0]
    path = tmp_path / "page.html"
    write_page(path, "tiny", banner(found), sections(Profiling(found, shown)))
    return path.read_text()


def test_a_gpu_has_kernels_copies_gaps_and_what_it_waited(tmp_path: Path) -> None:
    rounds = rounds_of(ON_A_GPU)
    found = profile(
        plain_ms=0.09, profiled_ms=0.1, busy_threads=0.4, gpu=gpu_times(rounds, 0.1)
    ).model_copy(update={"operators": by_operator(rounds, 0.1)})
    found = found.model_copy(update={"advice": advice_of(found)})
    assert [advice.rule for advice in found.advice] == ["idle GPU"]
    page = page_of(found, tmp_path)
    assert ">GPU</text>" in page
    # Names of kernels are C++, and stand in the page as text.
    assert "<td>layer_norm&lt;half&gt;</td><td>1.0</td><td>0.010</td><td>10.0 %</td>" in page
    assert "<td>sm90_gemm_f16</td><td>layer_norm&lt;half&gt;</td><td>1.0</td><td>0.010</td>" in page
    assert "<td>copies beside no kernel</td><td>0.010</td>" in page
    assert "2.0 gaps, 0.030 ms in all" in page
    assert "never on a GPU" in page
    assert advised(found)[0].startswith("40 % of the time the GPU runs nothing")


def test_where_nothing_stands_out_the_page_says_so(tmp_path: Path) -> None:
    found = profile()
    assert page_of(found, tmp_path).count(NOTHING) == 2
    assert "never on a GPU" not in page_of(found, tmp_path)
