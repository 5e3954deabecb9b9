"""What a model of the repository may ask of the embedded Triton: an ONNX file, run by our backends.

Triton itself does what a model's folder says: it starts a `triton_python_backend_stub` that lies
there instead of its own, unpacks the environment that a parameter names, loads shared libraries of
operators and agents, and pastes the name of the engine file into a line of bash. So only what is
named here passes, and whatever a later Triton knows in addition does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from service.errors import ServeError

# By message of the configuration; what is not listed is refused wherever it is set.
FIELDS = {
    "ModelConfig": {
        "name", "backend", "version_policy", "max_batch_size", "input", "output", "optimization",
        "dynamic_batching", "instance_group", "default_model_filename", "parameters",
    },
    "ModelInput": {"name", "data_type", "format", "dims", "allow_ragged_batch", "optional"},
    "ModelOutput": {"name", "data_type", "dims", "label_filename"},
    "ModelInstanceGroup": {"name", "kind", "count"},
    "ModelOptimizationPolicy": {
        "graph", "priority", "input_pinned_memory", "output_pinned_memory",
        "execution_accelerators",
    },
    "ExecutionAccelerators": {"gpu_execution_accelerator"},
    "Accelerator": {"name", "parameters"},
}  # fmt: skip
# Of the messages above: these hold numbers and flags alone.
HARMLESS = {"ModelVersionPolicy", "ModelDynamicBatching", "Graph"}
# What our backends read, or NVIDIA's backend of that name reads and ours pass over.
PARAMETERS = {
    "execution_mode", "intra_op_thread_count", "inter_op_thread_count", "enable_mem_arena",
    "enable_mem_pattern", "run_overhead_tokens", "max_run_tokens", "max_tokens", "cuda_graphs",
    # ONNX Runtime's others name files to read and write.
    "session.intra_op.allow_spinning", "session.inter_op.allow_spinning",
    "session.set_denormal_as_zero", "session.disable_prepacking", "session.dynamic_block_base",
    "session.qdqisint8allowed", "session.enable_quant_qdq_cleanup",
    "session.intra_op_thread_affinities",
    "INFERENCE_NUM_THREADS", "INFERENCE_PRECISION_HINT", "PERFORMANCE_HINT", "NUM_STREAMS",
    "HINT_BF16", "ENABLE_HYPER_THREADING", "ENABLE_CPU_PINNING",
}  # fmt: skip
# What runs an engine on a GPU, and its options; those of others name files and libraries.
ACCELERATOR = "cuda"
ACCELERATOR_OPTIONS = {
    "arena_extend_strategy", "do_copy_in_default_stream", "gpu_mem_limit", "use_tf32",
}  # fmt: skip
# A name of a file in the version folder: no path, and nothing that bash reads otherwise.
ENGINE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*\.onnx")
FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
# Engines, cards, tokenizers, labels, configuration, and what people write beside them.
SUFFIXES = {".onnx", ".json", ".pbtxt", ".txt", ".md", ".csv", ".html", ".svg", ".png"}


def check_config(config: Any, path: Path) -> None:
    """Raise ServeError, naming the field, unless a configuration asks for nothing but an engine.

    Args:
        config: a `ModelConfig`.
        path: where it was read, for the message.
    """
    for field in _refused_fields(config):
        raise ServeError(
            f"{path} sets {field}, which is not served: it may run code or read files beyond the "
            f"engine. Remove it; allowed are {', '.join(sorted(FIELDS['ModelConfig']))}."
        )
    for name in sorted(set(config.parameters) - PARAMETERS):
        raise ServeError(
            f"{path} sets the parameter {name!r}, which is not served: it may run code or read "
            f"files beyond the engine. Remove it; allowed are {', '.join(sorted(PARAMETERS))}."
        )
    for told in _refused_acceleration(config):
        raise ServeError(f"{path} {told}")
    engine = config.default_model_filename
    if engine and not ENGINE_NAME.fullmatch(engine):
        raise ServeError(
            f"{path} sets default_model_filename to {engine!r}: name an ONNX file in the version "
            "folder, without a path, of letters, digits, '_', '-' and '.', as in 'model.onnx'."
        )
    for tensor in config.output:
        if tensor.label_filename and not FILE_NAME.fullmatch(tensor.label_filename):
            raise ServeError(
                f"{path} sets label_filename to {tensor.label_filename!r}: name a file beside "
                "config.pbtxt, without a path, as in 'labels.txt'."
            )


def check_files(model: Path, version: Path) -> None:
    """Raise ServeError, naming the file, if a model's folder holds what Triton could run.

    Args:
        model: the folder with config.pbtxt.
        version: the version folder that is to be loaded.
    """
    for folder in (model, version):
        for path in sorted(folder.iterdir()):
            if path.is_file() and not path.name.startswith(".") and path.suffix not in SUFFIXES:
                raise ServeError(
                    f"{path} is no file of an engine, and Triton may run what lies in a model's "
                    f"folder: move it elsewhere. Files may end in {', '.join(sorted(SUFFIXES))}."
                )


def _refused_acceleration(config: Any) -> Iterable[str]:
    """What is wrong with the accelerators that a configuration names, if anything is."""
    for each in config.optimization.execution_accelerators.gpu_execution_accelerator:
        if each.name != ACCELERATOR:
            yield (
                f"names the accelerator {each.name!r}, which is not served; the one that is, is "
                f"{ACCELERATOR!r}."
            )
        for option in sorted(set(each.parameters) - ACCELERATOR_OPTIONS):
            yield (
                f"sets the option {option!r} of the accelerator {each.name!r}, which is not "
                f"served. Remove it; allowed are {', '.join(sorted(ACCELERATOR_OPTIONS))}."
            )


def _refused_fields(message: Any, before: str = "") -> Iterable[str]:
    """Dotted paths of the fields that are set and not listed."""
    kind = message.DESCRIPTOR.name
    if kind in HARMLESS:
        return
    for field, value in message.ListFields():
        name = f"{before}{field.name}"
        if field.name not in FIELDS[kind]:
            yield name
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for each in [value] if isinstance(value, Message) else value:
                yield from _refused_fields(each, f"{name}.")
