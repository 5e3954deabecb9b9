"""An engine file is refused, by name, before a runtime opens it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.onnx_file import MOST_DEPTH, EngineFileError, check_engine_file
from tests.tiny_models import tiny_engine

Change = Callable[[onnx.ModelProto], object]


def refused(tmp_path: Path, model: onnx.ModelProto | bytes) -> str:
    path = tmp_path / "model.onnx"
    data = model if isinstance(model, bytes) else model.SerializeToString()
    path.write_bytes(data)
    with pytest.raises(EngineFileError) as caught:
        check_engine_file(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def changed(change: Change) -> onnx.ModelProto:
    model = tiny_engine()
    change(model)
    return model


def test_an_engine_of_plain_operators_passes(tmp_path: Path) -> None:
    onnx.save(tiny_engine(rounds=2), tmp_path / "model.onnx")
    check_engine_file(tmp_path / "model.onnx")


def add_node(kind: str, domain: str = "", **attributes: object) -> Change:
    def add(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node(kind, [], ["x"], domain=domain, **attributes))

    return add


@pytest.mark.parametrize(
    ("kind", "domain"),
    [
        ("Exploit", "com.example"),
        ("Relu", "com.example"),
        ("PyOp", "ai.onnx.contrib"),
        ("FusedMatMul", "com.microsoft"),
        ("Normalizer", "ai.onnx.ml"),
    ],
)
def test_operators_from_elsewhere_are_named(tmp_path: Path, kind: str, domain: str) -> None:
    assert f"operator {domain}.{kind}" in refused(tmp_path, changed(add_node(kind, domain)))


def test_an_operator_that_a_scheme_uses_passes(tmp_path: Path) -> None:
    onnx.save(changed(add_node("MatMulNBits", "com.microsoft")), tmp_path / "model.onnx")
    check_engine_file(tmp_path / "model.onnx")


@pytest.mark.parametrize("kind", ["Loop", "Scan", "SequenceMap"])
def test_loops_are_named(tmp_path: Path, kind: str) -> None:
    assert f"operator {kind}" in refused(tmp_path, changed(add_node(kind)))


def branch(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "branch", [], [])


def test_operators_in_branches_are_seen(tmp_path: Path) -> None:
    inner = helper.make_node("Exploit", [], ["y"], domain="com.example")
    outer = helper.make_node("If", ["a"], ["z"], then_branch=branch(inner))
    model = changed(add_node("If", then_branch=branch(), else_branch=branch(outer)))
    assert "com.example.Exploit" in refused(tmp_path, model)


def test_branches_have_an_end(tmp_path: Path) -> None:
    deep = branch()
    for _ in range(MOST_DEPTH + 1):
        deep = branch(helper.make_node("If", ["a"], ["z"], then_branch=deep))
    model = changed(lambda model: model.graph.CopyFrom(deep))
    assert "nested deeper" in refused(tmp_path, model)


def external(location: str | None, where: str = "initializer") -> Change:
    def add(model: onnx.ModelProto) -> None:
        tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2])
        tensor.data_location = TensorProto.EXTERNAL
        if location is not None:
            tensor.external_data.add(key="location", value=location)
        if where == "initializer":
            model.graph.initializer.append(tensor)
        else:
            model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))

    return add


@pytest.mark.parametrize("where", ["initializer", "constant"])
@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("/etc/passwd", "a file outside the version folder ('/etc/passwd')"),
        ("../../secret", "a file outside the version folder ('../../secret')"),
        ("a/../../b", "a file outside the version folder"),
        ("weights.bin", "another file ('weights.bin')"),
        (None, "a file outside the version folder ('')"),
    ],
)
def test_data_in_other_files_is_named(
    tmp_path: Path, location: str | None, told: str, where: str
) -> None:
    assert told in refused(tmp_path, changed(external(location, where)))


def test_data_beside_the_engine_is_refused_as_onnx_saves_it(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    model = changed(lambda model: model.graph.initializer.append(weight))
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="w.data", size_threshold=0)
    with pytest.raises(EngineFileError, match=r"'w.data'.*save it as one file"):
        check_engine_file(path)


def test_an_external_location_needs_no_flag(tmp_path: Path) -> None:
    def add(model: onnx.ModelProto) -> None:
        model.graph.initializer[0].external_data.add(key="location", value="/dev/zero")

    assert "/dev/zero" in refused(tmp_path, changed(add))


@pytest.mark.parametrize(
    ("dims", "elements"), [([2**40, 2], 2**41), ([1000, 1000], 10**6), ([-1], 2**64 - 1)]
)
def test_tensors_larger_than_what_they_hold_are_named(
    tmp_path: Path, dims: list[int], elements: int
) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, raw_data=b"\0" * 8)
    model = changed(lambda model: model.graph.initializer.append(tensor))
    assert f"tensor 'w' says to have {elements} elements" in refused(tmp_path, model)


def test_functions_training_and_sparse_tensors_are_refused(tmp_path: Path) -> None:
    assert "functions of its own" in refused(
        tmp_path, changed(lambda model: model.functions.add(name="f", domain="local"))
    )
    assert "training graph" in refused(tmp_path, changed(lambda model: model.training_info.add()))
    assert "sparse" in refused(
        tmp_path, changed(lambda model: model.graph.sparse_initializer.add())
    )


@pytest.mark.parametrize("data", [b"", b"not a graph", b"\x80" * 12, b"\x0b", b"\x3a\x05\x0a"])
def test_what_is_no_model_is_refused(tmp_path: Path, data: bytes) -> None:
    assert "not an ONNX model" in refused(tmp_path, data)


def test_every_cut_is_refused_or_harmless(tmp_path: Path) -> None:
    data = tiny_engine().SerializeToString()
    path = tmp_path / "model.onnx"
    for length in range(0, len(data) - 1, len(data) // 200):
        path.write_bytes(data[:length])
        with pytest.raises(EngineFileError):
            check_engine_file(path)


def varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


@pytest.mark.parametrize(
    "disguise",
    [
        varint(7 << 3) + b"\0",  # the domain a second time, as a number: read by nobody
        varint(4 << 3 | 5) + b"Relu",  # the operator a second time, as four bytes
    ],
)
def test_fields_of_another_kind_hide_nothing(tmp_path: Path, disguise: bytes) -> None:
    node = helper.make_node("Loop", [], ["x"], domain="com.example").SerializeToString()
    data = message(7, message(1, node + disguise))
    assert onnx.ModelProto.FromString(data).graph.node[0].domain == "com.example"
    assert "not an ONNX model" in refused(tmp_path, data)


def test_a_second_graph_is_refused(tmp_path: Path) -> None:
    evil = message(7, message(1, helper.make_node("E", [], [], domain="e").SerializeToString()))
    assert "operator e.E" in refused(tmp_path, tiny_engine().SerializeToString() + evil)
    assert "not an ONNX model" in refused(
        tmp_path, tiny_engine().SerializeToString() + message(7, b"")
    )


def test_field_numbers_that_some_readers_cut_are_refused(tmp_path: Path) -> None:
    huge = varint((7 << 3 | 2) + 2**32) + b"\0"
    assert "not an ONNX model" in refused(tmp_path, tiny_engine().SerializeToString() + huge)


def test_a_file_of_nothing_but_fields_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.onnx_file.MOST_FIELDS", 1000)
    assert "more than 1000 fields" in refused(tmp_path, message(7, b"\x0a\x00" * 2000))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineFileError, match=r"none\.onnx cannot be read"):
        check_engine_file(tmp_path / "none.onnx")
