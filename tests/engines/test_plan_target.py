"""A plan for another GPU or TensorRT is refused by name, before any server sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.card import read_card
from core.gpu import Gpu, GpuError
from core.plan import of_version, plan_conflicts
from core.versions import VersionError, whole_card
from engines import plan_target
from engines.catalog import CATALOG
from engines.checksum_list import served_files
from engines.deliver import Fit, deliver
from engines.errors import EngineError, PlanError, PromotionError
from engines.model_config import read_config, write_model_files
from engines.promote import promote
from service.cli import app
from tests.engines.tiny_plan import L4, TENSORRT, write_plan_model, write_plan_version
from tests.tiny import card, write_version

T4 = Gpu("Tesla T4", "7.5", "580.65.06", None, None)


def machine(monkeypatch: pytest.MonkeyPatch, *gpus: Gpu, tensorrt: str | None = TENSORRT) -> None:
    """This machine has these GPUs, and that TensorRT; none means no driver either."""

    def found() -> list[Gpu]:
        if not gpus:
            raise GpuError("there is no NVIDIA GPU here")
        return list(gpus)

    monkeypatch.setattr(plan_target, "find_gpus", found)
    installed = (tensorrt, 13) if tensorrt else None
    monkeypatch.setattr(plan_target, "tensorrt_installed", lambda: installed)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_plan_model(tmp_path / "repository")


def test_another_plan_for_the_same_gpu_is_promoted_with_its_file(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch)
    write_plan_version(tmp_path / "made" / "1", b"better")
    promoted = promote("topics", str(tmp_path / "made" / "1"), model.parent)
    assert promoted["version"] == "2"
    assert (model / "2" / "model.plan").read_bytes() == b"better"
    assert whole_card(model / "2").backend == "tensorrt"


@pytest.mark.parametrize(
    ("gpu", "tensorrt", "told"),
    [
        (T4, TENSORRT, "built for Tesla T4, version 1, which serves, has NVIDIA L4; build it with"),
        (L4, "10.13.3", "built by TensorRT 10.13.3, version 1, which serves, has 11.4.1"),
    ],
)
def test_a_plan_for_something_else_is_not_promoted(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gpu: Gpu,
    tensorrt: str,
    told: str,
) -> None:
    machine(monkeypatch)
    write_plan_version(tmp_path / "made" / "1", b"other", gpu, tensorrt)
    with pytest.raises(PromotionError) as caught:
        promote("topics", str(tmp_path / "made" / "1"), model.parent)
    assert told in str(caught.value)
    assert [path.name for path in model.iterdir() if path.is_dir()] == ["1"]


def test_a_plan_that_this_machine_cannot_run_is_not_promoted(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, T4)
    write_plan_version(tmp_path / "made" / "1", b"better")
    with pytest.raises(PromotionError, match="built for NVIDIA L4, this machine has Tesla T4"):
        promote("topics", str(tmp_path / "made" / "1"), model.parent)


def test_a_damaged_plan_is_not_promoted(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, L4)
    write_plan_version(tmp_path / "made" / "1", b"better")
    (tmp_path / "made" / "1" / "model.plan").write_bytes(b"worse")
    with pytest.raises(PromotionError, match=r"model\.plan is not the file that its card was made"):
        promote("topics", str(tmp_path / "made" / "1"), model.parent)


def test_onnx_and_plans_do_not_take_each_others_place(model: Path, tmp_path: Path) -> None:
    labels = list(CATALOG["topics"].labels)
    write_version(tmp_path / "made" / "1", card("topics", labels=labels))
    with pytest.raises(PromotionError, match=r"lacks model\.plan"):
        promote("topics", str(tmp_path / "made" / "1"), model.parent)
    write_model_files(CATALOG["topics"], tmp_path / "cpus")
    write_version(tmp_path / "cpus" / "topics" / "1", card("topics", labels=labels))
    with pytest.raises(PromotionError, match="it is a TensorRT plan for NVIDIA L4, and what is"):
        promote("topics", str(model / "1"), tmp_path / "cpus")
    plain, plan = read_card(tmp_path / "made" / "1"), read_card(model / "1")
    assert plan_conflicts(plain, of_version(plain)) == []
    assert "it is no TensorRT plan" in plan_conflicts(plain, of_version(plan))[0]


def test_a_build_number_that_only_one_side_knows_does_no_harm(tmp_path: Path) -> None:
    served = write_plan_version(tmp_path / "1", tensorrt="11.4.1.9")
    assert plan_conflicts(served, of_version(served)) == []
    newer = write_plan_version(tmp_path / "2", tensorrt="11.4.1")
    assert plan_conflicts(newer, of_version(served)) == []
    other = write_plan_version(tmp_path / "3", tensorrt="11.4.1.10")
    assert len(plan_conflicts(other, of_version(served))) == 1


def test_a_version_without_its_plan_is_not_whole(model: Path) -> None:
    assert "topics/1/model.plan" in served_files(model.parent)
    (model / "1" / "model.plan").unlink()
    with pytest.raises(VersionError, match=r"lacks .*model\.plan"):
        whole_card(model / "1")


def test_a_plan_is_delivered_to_the_gpu_that_it_was_built_for(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, L4)
    delivered = deliver(model.parent, tmp_path / "out", None, Fit(device="gpu"))
    assert "topics/1/model.plan" in delivered
    config = read_config(tmp_path / "out" / "topics" / "config.pbtxt")
    assert config.optimization.cuda.graphs
    assert len(config.instance_group[0].profile) == 11
    with pytest.raises(PlanError, match="a CPU cannot run it: deliver it with --device gpu"):
        deliver(model.parent, tmp_path / "out", None, Fit())
    assert not list((tmp_path / "out").glob("*/config.pbtxt"))


def test_a_plan_is_not_delivered_to_another(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, T4)
    with pytest.raises(PlanError, match="topics version 1: its plan was built for NVIDIA L4, this"):
        deliver(model.parent, tmp_path / "out", None, Fit(device="gpu"))
    machine(monkeypatch, L4, tensorrt="10.13.3")
    with pytest.raises(PlanError, match=r"by TensorRT 11\.4\.1, this machine has 10\.13\.3; build"):
        deliver(model.parent, tmp_path / "out", None, Fit(device="gpu"))


def test_where_the_gpu_cannot_be_read_it_has_to_be_said(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, tensorrt=None)
    with pytest.raises(PlanError) as caught:
        deliver(model.parent, tmp_path / "out", None, Fit(device="gpu"))
    told = str(caught.value)
    for part in ("topics", "no NVIDIA GPU here", "--for-gpu NAME", "--for-tensorrt VERSION"):
        assert part in told
    arguments = ["engines", "deliver", str(model.parent), str(tmp_path / "out"), "--device=gpu"]
    said = ["--for-gpu=NVIDIA L4", "--for-tensorrt=11.4.1.9"]
    done = CliRunner().invoke(app, [*arguments, *said])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out/topics/1/model.plan").read_bytes() == b"plan"
    wrong = CliRunner().invoke(app, [*arguments, "--for-gpu=Tesla T4", "--for-tensorrt=11.4.1"])
    assert wrong.exit_code == 1
    assert "the server has Tesla T4" in wrong.output


def test_engines_for_cpus_are_delivered_without_asking_for_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked() -> list[Gpu]:
        raise EngineError("nobody should ask")

    monkeypatch.setattr(plan_target, "find_gpus", asked)
    write_model_files(CATALOG["topics"], tmp_path / "built")
    labels = list(CATALOG["topics"].labels)
    write_version(tmp_path / "built" / "topics" / "1", card("topics", labels=labels))
    assert deliver(tmp_path / "built", tmp_path / "out", None, Fit(device="gpu"))
