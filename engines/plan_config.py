"""config.pbtxt of a model that is served as a TensorRT plan, for NVIDIA's Triton."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tritonclient.grpc import model_config_pb2

from core.card import PLAN_FILE, EngineCard
from core.plan import TENSORRT
from engines.catalog import ModelSpec, spec_of
from engines.errors import EngineError
from engines.model_config import (
    CONFIG_FILE,
    HEADER,
    MAX_BATCH_SIZE,
    PARAMETERS,
    config_text,
    model_config,
    read_config,
)
from engines.plan_shapes import Profile, graph_shapes
from engines.runtimes import Candidate
from engines.tensor_names import INPUT_NAMES

PLAN_HEADER = "# Written by `sub50 engines build --runtime tensorrt` for one kind of GPU.\n"


def plan_config(spec: ModelSpec, profiles: Sequence[Profile]) -> model_config_pb2.ModelConfig:
    """The configuration of one model: the same tensors, by the same names and types.

    TensorRT 10 and newer take INT64 as it is, so that clients need not know what runs.
    """
    config = model_config(spec)
    config.backend = TENSORRT
    config.default_model_filename = PLAN_FILE
    config.max_batch_size = MAX_BATCH_SIZE
    for key in PARAMETERS:
        del config.parameters[key]
    group = config.instance_group[0]
    group.kind = model_config_pb2.ModelInstanceGroup.KIND_GPU
    # Without a list Triton runs the first profile alone.
    group.profile.extend(str(place) for place in range(len(profiles)))
    cuda = config.optimization.cuda
    cuda.graphs = True
    for batch, tokens in graph_shapes(profiles):
        graph = cuda.graph_spec.add(batch_size=batch)
        for name in INPUT_NAMES:
            graph.input[name].dim.append(tokens)
    return config


def plan_config_text(spec: ModelSpec, profiles: Sequence[Profile]) -> str:
    """The text of config.pbtxt."""
    return PLAN_HEADER + config_text(plan_config(spec, profiles)).removeprefix(HEADER)


def built_plan_text(card: EngineCard) -> str:
    """The text of config.pbtxt of a model whose served version was built with that card."""
    return plan_config_text(spec_of(card), _profiles(card))


def tuned_plan_text(card: EngineCard, candidate: Candidate) -> str:
    """The text of config.pbtxt for the plan, and its number of instances, that measured best."""
    config = plan_config(spec_of(card), _profiles(card))
    config.default_model_filename = candidate.engine_file
    config.instance_group[0].count = candidate.instances
    return config_text(config, tuned_model=card.name)


def _profiles(card: EngineCard) -> list[Profile]:
    assert card.plan is not None
    return [Profile(*each) for each in card.plan.profiles]


def require_backend(folder: Path, is_plan: bool) -> None:
    """Raise EngineError where a model's folder is there and is served by the other kind of runtime.

    Its other versions would be left with a configuration that does not fit them.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        return
    backend = read_config(path).backend
    if (backend == TENSORRT) == is_plan:
        return
    kind = "TensorRT plans" if is_plan else "engines for CPUs"
    raise EngineError(
        f"{folder} is served by {backend}: {kind} of {folder.name} belong in a repository of their "
        "own, name one with --repository"
    )
