"""Profiles, CUDA graphs and memory of a plan, all worked out without a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from onnx import TensorProto, helper
from tritonclient.grpc import model_config_pb2

from core.buckets import BUCKET_LENGTHS, bucket_length
from core.gpu import Gpu
from engines.catalog import CATALOG
from engines.errors import EngineError, PlanError
from engines.graph import classifier_graph
from engines.half_precision import in_half
from engines.model_config import MAX_BATCH_SIZE, model_config, read_config, write_model_files
from engines.padded_graph import keeping_padding
from engines.plan_config import plan_config, plan_config_text, require_backend
from engines.plan_shapes import (
    Memory,
    graph_shapes,
    memory_of,
    peak_bytes,
    profile_of,
    profiles,
    require_memory,
)
from tests.engines.tiny_encoder import HIDDEN, SHAPE, WIDE, tiny_head, tiny_weights

ALL = profiles(512, MAX_BATCH_SIZE)


def test_there_is_a_profile_for_each_length_that_the_service_pads_to() -> None:
    assert [profile.tokens for profile in ALL] == list(BUCKET_LENGTHS)
    assert {profile.most_texts for profile in ALL} == {MAX_BATCH_SIZE}
    assert ALL[2].shapes == ((1, 25), (16, 32), (32, 32))
    assert ALL[-1].shapes == ((1, 385), (1, 512), (32, 512))
    for profile in ALL:
        least, best, most = profile.shapes
        assert least <= best <= most
        assert best[0] * best[1] <= 512


def test_every_length_is_in_exactly_one_profile() -> None:
    for tokens in range(1, 513):
        assert ALL[profile_of(ALL, tokens)].tokens == bucket_length(tokens)
    with pytest.raises(PlanError, match="513 tokens are in none"):
        profile_of(ALL, 513)


def test_a_model_of_fewer_tokens_has_fewer_profiles() -> None:
    assert [profile.tokens for profile in profiles(128, 8)] == [16, 24, 32, 48, 64, 96, 128]
    with pytest.raises(PlanError, match=r"takes 300 tokens.* ONNX Runtime"):
        profiles(300, 8)


def test_graphs_are_for_interactive_requests_exactly() -> None:
    shapes = graph_shapes(ALL)
    assert len(shapes) == len(set(shapes))
    assert {(1, length) for length in BUCKET_LENGTHS} <= set(shapes)
    assert (8, 64) in shapes
    assert (8, 96) not in shapes
    assert all(batch == 1 or batch * tokens <= 512 for batch, tokens in shapes)
    assert graph_shapes(profiles(64, 2))[-1] == (2, 64)


def test_the_configuration_names_profiles_graphs_and_the_same_tensors() -> None:
    spec = CATALOG["topics"]
    config = plan_config(spec, ALL)
    plain = model_config(spec)
    assert (config.backend, config.default_model_filename) == ("tensorrt", "model.plan")
    assert config.input == plain.input
    assert config.output == plain.output
    assert config.max_batch_size == plain.max_batch_size
    (group,) = config.instance_group
    assert group.kind == model_config_pb2.ModelInstanceGroup.KIND_GPU
    assert list(group.profile) == [str(place) for place in range(len(ALL))]
    assert not config.parameters
    graphs = [
        (graph.batch_size, {name: list(shape.dim) for name, shape in graph.input.items()})
        for graph in config.optimization.cuda.graph_spec
    ]
    assert config.optimization.cuda.graphs
    assert [(batch, dims["attention_mask"][0]) for batch, dims in graphs] == graph_shapes(ALL)
    assert all(len(dims) == 3 and len({*map(tuple, dims.values())}) == 1 for _, dims in graphs)


def test_its_text_is_read_back() -> None:
    text = plan_config_text(CATALOG["topics"], ALL)
    assert text.startswith("# Written by `sub50 engines build --runtime tensorrt`")
    parsed = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert parsed == plan_config(CATALOG["topics"], ALL)


def test_plans_and_engines_for_cpus_share_no_model(tmp_path: Path) -> None:
    repository = tmp_path
    folder = repository / "topics"
    require_backend(folder, is_plan=True)  # nothing there yet
    write_model_files(CATALOG["topics"], repository)
    require_backend(folder, is_plan=False)
    with pytest.raises(EngineError, match="topics is served by onnxruntime: TensorRT plans"):
        require_backend(folder, is_plan=True)
    (folder / "config.pbtxt").write_text(plan_config_text(CATALOG["topics"], ALL))
    assert read_config(folder / "config.pbtxt").backend == "tensorrt"
    require_backend(folder, is_plan=True)
    with pytest.raises(EngineError, match="served by tensorrt: engines for CPUs"):
        require_backend(folder, is_plan=False)


def test_the_peak_of_a_small_graph_by_hand() -> None:
    """ids (int64) -> a -> b -> out; `a` is let go once `b` is there."""
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["a"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["a", "a"], ["b"], axis=1),
        helper.make_node("ReduceSum", ["b"], ["c"], keepdims=1),
        helper.make_node("Identity", ["c"], ["out"]),
    ]
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 1])
    graph = helper.make_graph(nodes, "small", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    # 2 x 8 numbers of 4 bytes, and twice as many.
    assert peak_bytes(model, 2, 8) == 64 + 128


def test_the_peak_of_an_encoder_grows_with_its_shape() -> None:
    model = in_half(keeping_padding(classifier_graph(tiny_weights(), SHAPE, *tiny_head())))
    found = peak_bytes(model, 2, 64)
    scores = 2 * SHAPE.heads * 64 * 64 * 2
    wide = 2 * 64 * WIDE * 2
    assert found > max(scores, wide)
    assert found < 12 * (scores + wide + 2 * 64 * HIDDEN * 2)
    assert 3.5 * found < peak_bytes(model, 8, 64) < 4.5 * found


def test_too_little_memory_is_told_with_what_it_is_for() -> None:
    model = in_half(keeping_padding(classifier_graph(tiny_weights(), SHAPE, *tiny_head())))
    needed = memory_of(model, ALL)
    assert needed.activations == peak_bytes(model, 32, 512)
    assert needed.weights == sum(len(t.raw_data) for t in model.graph.initializer)
    mebibyte = 2**20
    needed = Memory(weights=200 * mebibyte, activations=300 * mebibyte)
    require_memory(Gpu("NVIDIA L4", "8.9", "580", 23034 * mebibyte, 22000 * mebibyte), needed)
    require_memory(Gpu("NVIDIA GB10", "12.1", "580", None, None), needed)
    full = Gpu("NVIDIA L4", "8.9", "580", 23034 * mebibyte, 1000 * mebibyte)
    with pytest.raises(PlanError) as caught:
        require_memory(full, needed)
    told = str(caught.value)
    for part in ("1000 MiB free of 23034", "about 2324", "400 for the weights", "300 for values"):
        assert part in told
