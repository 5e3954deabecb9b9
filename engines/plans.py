"""Makes TensorRT plans: look at the GPU, make the graph, gate it, build, gate the plan, write.

A version folder appears whole, and only after both gates have passed: `model.onnx`, the graph, and
`model.plan`, what TensorRT made of it for this GPU.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
from rich.console import Console

from core.card import ENGINE_FILE, PLAN_FILE, EngineCard, write_card
from engines import gate
from engines.base import CACHE
from engines.catalog import spec_of, specs
from engines.errors import EngineError
from engines.gpu import Gpu, gpu_for_tensorrt
from engines.hardware import hardware
from engines.importing import Import, require_free_name
from engines.model_config import CONFIG_FILE, LABELS_FILE, MAX_BATCH_SIZE
from engines.plain_graph import require_plain
from engines.plan_config import plan_config_text, require_backend
from engines.plan_graph import plan_graph
from engines.plan_record import plan_card, plan_fields
from engines.plan_shapes import WORKSPACE_BYTES, Profile, memory_of, profiles, require_memory
from engines.quantize_subject import Source, Subject, checkpoint_subject, subject_of
from engines.quantizing import Told, put_whole
from engines.room import full_disk_told
from engines.runtime_options import Precision
from engines.tensorrt_calls import Build, PlanEngine, build_plan, tensorrt_version
from engines.timing import timings_of
from engines.whole_file import whole_file

SECONDS_A_SHAPE = 0.6
VERSION = "1"
TIMING_CACHES = CACHE.parent / "tensorrt"

# A model's subject, once there is a folder for its tokenizer.
Prepare = Callable[[Path], Subject]


def build_plans(
    names: Sequence[str] | None,
    repository: Path,
    precision: Precision,
    base_folder: Path | None = None,
    data: Path | None = None,
) -> list[EngineCard]:
    """Build plans of the named default models, or all, into `repository`; returns their cards.

    Raises:
        EngineError: there is no GPU that can be used, something is missing, a gate refuses, or the
            repository's models are served otherwise; what is there is as it was.
    """
    chosen = [spec.name for spec in specs(names)]
    gpu = gpu_for_tensorrt()
    for name in chosen:
        require_backend(repository / name, is_plan=True)

    def prepare(name: str) -> Prepare:
        source = Source(name, None, data, repository, base_folder)
        return lambda folder: subject_of(source, folder)

    return [_make(name, prepare(name), repository, precision, gpu) for name in chosen]


def import_plan(asked: Import, repository: Path, precision: Precision) -> EngineCard:
    """Make a checkpoint a model of the repository that is served as a plan; returns its card.

    Raises:
        EngineError: see `build_plans`; or the checkpoint or the name is not what it should be.
    """
    require_free_name(asked.name, repository, asked.force)
    gpu = gpu_for_tensorrt()
    require_backend(repository / asked.name, is_plan=True)

    def prepare(folder: Path) -> Subject:
        return checkpoint_subject(asked.source, asked.name, asked.labels, asked.data, folder)

    return _make(asked.name, prepare, repository, precision, gpu)


def _make(
    name: str, prepare: Prepare, repository: Path, precision: Precision, gpu: Gpu
) -> EngineCard:
    console = Console(stderr=True, highlight=False)
    with (
        console.status(f"{name}: reading the model") as status,
        tempfile.TemporaryDirectory(prefix="sub50-plan-") as folder,
    ):
        work = Path(folder)
        card = _write_version(
            prepare(work), work, precision, gpu, lambda step: status.update(f"{name}: {step}")
        )
        _put(card, work, repository)
    console.print(f"{name}: plan built, gate passed", markup=False)
    return card


def _write_version(
    subject: Subject, work: Path, precision: Precision, gpu: Gpu, told: Told
) -> EngineCard:
    """Write graph, plan and card into `work`, which has the tokenizer."""
    graph = plan_graph(subject, precision, told)
    onnx.save(graph.model, work / ENGINE_FILE)
    require_plain(work / ENGINE_FILE)
    told("measuring the graph, by ONNX Runtime")
    card = subject.make_card(graph, work)
    found = profiles(card.max_tokens, MAX_BATCH_SIZE)
    plan = plan_of(graph.model, found, gpu, told)
    (work / PLAN_FILE).write_bytes(plan)
    told("measuring the plan")
    engine = PlanEngine(plan, found)
    findings = subject.judge.examine(engine)
    gate.require(subject.name, findings.verdict)
    timings = timings_of(engine, subject.reference, SECONDS_A_SHAPE, subject.token_ids)
    fields = plan_fields(work, gpu, tensorrt_version(), found, engine.memory_bytes)
    card = plan_card(card, fields, precision, graph, findings, timings)
    card = card.model_copy(update={"version": VERSION, "hardware": hardware(gpu)})
    write_card(card, work)
    return card


def plan_of(graph: onnx.ModelProto, found: Sequence[Profile], gpu: Gpu, told: Told) -> bytes:
    """The plan of a graph for this machine's GPU.

    Raises:
        PlanError: the GPU has too little memory free, or TensorRT makes no plan of the graph.
    """
    require_memory(gpu, memory_of(graph, found))
    told(f"building the plan for {gpu.name}, which takes minutes the first time")
    build = Build(found, WORKSPACE_BYTES, timing_cache(gpu, tensorrt_version()))
    return build_plan(graph.SerializeToString(), build)


def timing_cache(gpu: Gpu, tensorrt: str) -> Path:
    """Where the timings of kernels are kept, which hold for one kind of GPU and one TensorRT."""
    kind = "".join(letter if letter.isalnum() else "-" for letter in gpu.name)
    return TIMING_CACHES / f"{kind}-{gpu.compute_capability}-{tensorrt}.timings"


def _put(card: EngineCard, work: Path, repository: Path) -> None:
    """Put version folder, labels and configuration in their places, in that order: what
    config.pbtxt names is there when it is read."""
    model = repository / card.name
    found = profiles(card.max_tokens, MAX_BATCH_SIZE)
    needed_bytes = sum(path.stat().st_size for path in work.iterdir())
    try:
        with full_disk_told(repository, needed_bytes):
            put_whole(work, model / VERSION)
        if card.labels:
            with whole_file(model / LABELS_FILE) as partial:
                partial.write_text("".join(f"{label}\n" for label in card.labels), "utf-8")
        with whole_file(model / CONFIG_FILE) as partial:
            partial.write_text(plan_config_text(spec_of(card), found), encoding="utf-8")
    except OSError as error:
        raise EngineError(f"cannot write below {repository}: {error.strerror or error}") from error
