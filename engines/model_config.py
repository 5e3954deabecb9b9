"""config.pbtxt and labels.txt of each model, written and read through Triton's protobuf.

`python -m engines.model_config` writes the files of model_repository/ anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from engines.catalog import CATALOG, MAX_TOKENS, ModelSpec, spec_of
from engines.errors import EngineError
from engines.gpu_config import put_on_gpu, record_runs
from engines.tensor_names import INPUT_NAMES
from engines.whole_file import whole_file

if TYPE_CHECKING:
    from core.card import EngineCard
    from engines.runtimes import Candidate

CONFIG_FILE = "config.pbtxt"
LABELS_FILE = "labels.txt"
REPOSITORY = Path(__file__).resolve().parent.parent / "model_repository"
MAX_BATCH_SIZE = 32
QUEUE_FIELDS = (
    "priority_levels",
    "default_priority_level",
    "default_queue_policy",
    "priority_queue_policy",
)
# What the backends call the threads of one instance.
THREADS = {"onnxruntime": "intra_op_thread_count", "openvino": "INFERENCE_NUM_THREADS"}
# Names of NVIDIA's onnxruntime backend. "0" threads: as many as there are cores.
PARAMETERS = {"intra_op_thread_count": "0", "inter_op_thread_count": "1", "execution_mode": "0"}
HEADER = "# Written by `python -m engines.model_config`; change that module instead.\n"
IMPORTED_HEADER = "# Written by `sub50 engines import`; import the checkpoint again to change it.\n"
TUNED_HEADER = "# Written by `sub50 engines tune` for one machine; "
# A row joins longer ones rather than have a run of its own for this many tokens of padding, and
# no more: a fit is never that exact.
MOST_OVERHEAD_TOKENS = 64


def model_config(spec: ModelSpec) -> model_config_pb2.ModelConfig:
    """The configuration of one model."""
    config = model_config_pb2.ModelConfig(
        name=spec.name, backend="onnxruntime", max_batch_size=MAX_BATCH_SIZE
    )
    for name in INPUT_NAMES:
        config.input.add(name=name, data_type=model_config_pb2.TYPE_INT64, dims=[-1])
    output = config.output.add(
        name=spec.output, data_type=model_config_pb2.TYPE_FP32, dims=[spec.width]
    )
    if spec.labels:
        output.label_filename = LABELS_FILE
    config.instance_group.add(kind=model_config_pb2.ModelInstanceGroup.KIND_CPU, count=1)
    # No priorities and no queue policy: with any of them, Triton's batcher can leave a request
    # that arrives while every instance is busy for up to 500 ms (its issue 8870, mended in July
    # 2026). The service bounds bulk work itself, and the deadline of a gRPC call empties the queue.
    config.dynamic_batching.SetInParent()
    for key, value in PARAMETERS.items():
        config.parameters[key].string_value = value
    return config


def tuned_config(
    spec: ModelSpec, candidate: Candidate, overhead_tokens: int, max_tokens: int = MAX_TOKENS
) -> model_config_pb2.ModelConfig:
    """The configuration of one model for the way of running it that measured best.

    `overhead_tokens` is what a run costs beyond its tokens, in tokens; `max_tokens` are those of
    the longest text that the engine takes.
    """
    config = model_config(spec)
    config.backend = candidate.backend
    # The openvino backend's own default is model.xml.
    config.default_model_filename = candidate.engine_file
    config.instance_group[0].count = candidate.instances
    if candidate.on_gpu:
        put_on_gpu(config)
        record_runs(config)
    if candidate.backend == "openvino":
        for key in PARAMETERS:
            del config.parameters[key]
        # The backend runs every length once while it loads, and none past the engine's positions.
        if max_tokens < MAX_TOKENS:
            config.parameters["max_tokens"].string_value = str(max_tokens)
    for key, value in runtime_parameters(candidate).items():
        config.parameters[key].string_value = value
    cut = str(min(max(overhead_tokens, 0), MOST_OVERHEAD_TOKENS))
    config.parameters["run_overhead_tokens"].string_value = cut
    return config


def runtime_parameters(candidate: Candidate) -> dict[str, str]:
    """Threads and precision under the names of NVIDIA's backends, or else of OpenVINO itself."""
    threads = {THREADS[candidate.backend]: str(candidate.threads)}
    if candidate.backend == "onnxruntime":
        return threads
    hints = (
        {"HINT_BF16": "YES", "INFERENCE_PRECISION_HINT": "bf16"}
        if candidate.precision == "BF16"
        else {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return {
        **threads,
        "NUM_STREAMS": "1",
        "PERFORMANCE_HINT": "LATENCY",
        **hints,
    }


def config_text(config: model_config_pb2.ModelConfig, tuned_model: str | None = None) -> str:
    """A configuration as the text of config.pbtxt, the same for equal configurations.

    `tuned_model` names the model whose tuning it is, and the comment then says how to go back.
    """
    text: str = text_format.MessageToString(config)
    if tuned_model is None:
        return HEADER + text
    return f"{TUNED_HEADER}go back with `sub50 engines tune {tuned_model} --reset`.\n{text}"


def untuned_text(card: EngineCard) -> str:
    """The text of config.pbtxt of a model whose engine has that card, as built or imported."""
    text = config_text(model_config(spec_of(card)))
    return IMPORTED_HEADER + text.removeprefix(HEADER) if card.imported else text


def is_tuned(path: Path) -> bool:
    """Whether a config.pbtxt was written by tuning."""
    return path.is_file() and path.read_text(encoding="utf-8").startswith(TUNED_HEADER)


def read_config(path: Path) -> model_config_pb2.ModelConfig:
    """Read and check a config.pbtxt.

    Raises:
        EngineError: it is missing, not a model configuration, or does not fit what our engines
            take and the service expects; names the file and the field.
    """
    try:
        config = text_format.Parse(path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    except FileNotFoundError as error:
        raise EngineError(f"no {path}; write it with `python -m engines.model_config`") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise EngineError(f"{path} is not a model configuration: {error}") from error
    for problem in problems(config, path.parent.name):
        raise EngineError(f"{path}: {problem}")
    return config


def problems(config: model_config_pb2.ModelConfig, folder: str) -> list[str]:
    """What keeps a model of that folder from being served with its promises."""
    found = []
    if config.name != folder:
        found.append(f"name is {config.name!r}, but the folder is {folder!r}")
    if {tensor.name for tensor in config.input} != set(INPUT_NAMES):
        found.append(f"input must be {', '.join(INPUT_NAMES)}")
    if [tensor.name for tensor in config.output] not in (["logits"], ["embedding"]):
        found.append("output must be one tensor, logits or embedding")
    if config.max_batch_size < 1:
        found.append("max_batch_size must be at least 1, or nothing is batched")
    if not config.HasField("dynamic_batching"):
        found.append("dynamic_batching is missing, so every text runs alone")
    for field in QUEUE_FIELDS:
        if field in {set_field.name for set_field, _ in config.dynamic_batching.ListFields()}:
            found.append(f"dynamic_batching.{field} makes Triton's batcher stall, see {__name__}")
    return found


def write_model_files(spec: ModelSpec, repository: Path) -> None:
    """Write config.pbtxt and, for a model with labels, labels.txt."""
    folder = repository / spec.name
    folder.mkdir(parents=True, exist_ok=True)
    if spec.labels:
        with whole_file(folder / LABELS_FILE) as labels:
            labels.write_text("".join(f"{label}\n" for label in spec.labels), "utf-8")
    with whole_file(folder / CONFIG_FILE) as config:
        config.write_text(config_text(model_config(spec)), encoding="utf-8")


if __name__ == "__main__":
    for model in CATALOG.values():
        write_model_files(model, REPOSITORY)
