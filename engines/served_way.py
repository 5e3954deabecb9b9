"""How an ONNX engine of a model repository is served: as the model's config.pbtxt says.

Cards follow the configuration, but not all do: that of a version which was promoted after a tuning
says how it was built, or what won where it came from.
"""

from __future__ import annotations

from pathlib import Path

from tritonclient.grpc import model_config_pb2

from core.card import ENGINE_FILE, EngineCard
from core.checksums import recorded_files
from engines.errors import EngineError
from engines.evaluated_engine import as_served
from engines.gpu_config import is_on_gpu
from engines.model_config import CONFIG_FILE, THREADS, read_config
from engines.runtimes import REFERENCE_FILE, Backend, Candidate, Precision


def served_way(card: EngineCard, folder: Path) -> Candidate:
    """How a version folder, which is no plan's, is run where its repository is served.

    A version whose card knows nothing of the file that config.pbtxt names cannot be served by it:
    it is one to serve after `tune --reset`, as it was built. Without config.pbtxt the card decides.

    Raises:
        EngineError: config.pbtxt is no model's, or names a runtime that takes no ONNX engine.
    """
    path = folder.parent / CONFIG_FILE
    if not path.is_file():
        return as_served(card)
    way = way_of(read_config(path))
    return way if way.engine_file in recorded_files(card) else as_served(card.as_built())


def way_of(config: model_config_pb2.ModelConfig) -> Candidate:
    """What a configuration has run an engine: what `tuned_config` was told, read back.

    Raises:
        EngineError: its runtime takes no ONNX engine.
    """
    if config.backend not in THREADS:
        raise EngineError(
            f"{CONFIG_FILE} of {config.name} names the runtime {config.backend!r}, and the engine "
            f"is ONNX, for onnxruntime or openvino; `sub50 engines tune {config.name}` writes it"
        )
    file = config.default_model_filename or ENGINE_FILE
    given = {key: entry.string_value for key, entry in config.parameters.items()}
    precision: Precision = "FP32" if file == REFERENCE_FILE else "INT8"
    backend: Backend = "onnxruntime"
    if config.backend == "openvino":
        backend = "openvino"
        # As the backend reads them: HINT_BF16 is that of NVIDIA's.
        hint = "bf16" if given.get("HINT_BF16", "").upper() == "YES" else "f32"
        if given.get("INFERENCE_PRECISION_HINT", hint).lower() == "bf16":
            precision = "BF16"
    if is_on_gpu(config):
        precision = "FP16"
    instances = sum(group.count for group in config.instance_group)
    threads = int(given.get(THREADS[backend]) or 0)
    return Candidate(backend, precision, threads, instances, file)
