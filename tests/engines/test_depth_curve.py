"""The curve over depths: distances from the teacher, speeds in turns, and what the gate refused."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from rich.console import Console

from core.card import Accuracy
from engines.depth_curve import Curve, Depth, measure_curve
from engines.distill_report import curve_table, write_curve_plot
from engines.merge import ADAPTER_FILE
from engines.timing import TIMED_SHAPES
from tests.tiny import card
from tests.tiny_models import tiny_engine


def accuracy(data: str, share: float) -> Accuracy:
    return Accuracy(
        data=data, rows=200, accuracy=share, macro_f1=share,
        reference_accuracy=share, reference_macro_f1=share,
    )  # fmt: skip


def depth(folder: Path, layers: int, shares: dict[str, float], rounds: int) -> Depth:
    """An engine that takes the longer the more `rounds` it has."""
    engine = folder / f"layers-{layers}" / "1"
    engine.mkdir(parents=True)
    onnx.save(tiny_engine(rounds), engine / "model.onnx")
    adapter = engine.parent
    (adapter / ADAPTER_FILE).write_bytes(bytes(layers * 1000))
    made = card("mood", accuracy=[accuracy(name, share) for name, share in shares.items()])
    return Depth(layers, adapter, engine, made)


@pytest.fixture(scope="module")
def curve(tmp_path_factory: pytest.TempPathFactory) -> Curve:
    folder = tmp_path_factory.mktemp("depths")
    refused = folder / "layers-1"
    refused.mkdir()
    (refused / ADAPTER_FILE).write_bytes(bytes(1000))
    depths = [
        depth(folder, 6, {"notes": 0.92, "lines": 0.9}, rounds=16),
        depth(folder, 3, {"notes": 0.905, "lines": 0.91}, rounds=1),
        Depth(1, refused, refused / "1", None, "the gate refuses engine mood: too far off"),
    ]
    return measure_curve("mood", depths, asked_teacher=7, seconds=0.01)


def test_every_depth_stands_beside_its_teacher(curve: Curve) -> None:
    teacher, student = curve.teacher, curve.students[0]
    assert [speed.times_teacher for speed in teacher.speeds] == [1.0] * len(TIMED_SHAPES)
    assert [(s.batch, s.tokens) for s in student.speeds] == list(TIMED_SHAPES)
    for speed, before in zip(student.speeds, teacher.speeds, strict=True):
        assert speed.times_teacher == pytest.approx(before.p50_ms / speed.p50_ms)
        assert speed.times_teacher > 1.5
        assert speed.texts_per_second == pytest.approx(1000 * speed.batch / speed.p50_ms)
    points = curve.points_from_teacher(student)
    assert points == pytest.approx({"notes": -1.5, "lines": 1.0})


def test_the_report_has_what_the_gate_refused(curve: Curve) -> None:
    report = json.loads(json.dumps(curve.as_dict()))
    assert report["teacher_answers_computed"] == 7
    kept, refused = report["students"]
    assert (kept["layers"], kept["refused"], kept["adapter_bytes"]) == (3, None, 3000)
    assert [each["points_from_teacher"] for each in kept["accuracy"]] == pytest.approx([-1.5, 1.0])
    assert refused["refused"] == "the gate refuses engine mood: too far off"
    assert (refused["engine"], refused["accuracy"], refused["speed"]) == (None, [], [])


def test_the_table_has_a_row_for_every_depth(curve: Curve) -> None:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(curve_table(curve))
    text = captured.get()
    for expected in ("notes", "92.0", "90.5  -1.5", "91.0  +1.0", "refused"):
        assert expected in text


def test_the_plot_is_drawn_whole(curve: Curve, tmp_path: Path) -> None:
    write_curve_plot(curve, tmp_path / "curve.svg")
    drawing = (tmp_path / "curve.svg").read_text(encoding="utf-8")
    assert drawing.count("</svg>") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["curve.svg"]
