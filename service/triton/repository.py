"""What a model repository holds, checked before Triton is started on it."""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

from core.card import ENGINE_FILE
from core.checksums import require_engine
from core.versions import VersionError, served_folder, whole_card
from service.disk import told_when_slow
from service.errors import ServeError
from service.triton.allowed import check_config, check_files
from service.triton.backends import SOURCES
from service.triton.installation import package_folder
from service.triton.on_gpu import (
    ALL_CORES,
    THREADS_PARAMETER,
    put_on_processors,
    runs_on_gpu,
    tell_backend,
    why_not_on_gpu,
)

# Where config.pbtxt names no engine file; NVIDIA's openvino backend looks for model.xml.
DEFAULT_FILE_NAMES = {"onnxruntime": ENGINE_FILE, "openvino": "model.xml"}
QUEUE_FIELDS = (
    "priority_levels",
    "default_priority_level",
    "default_queue_policy",
    "priority_queue_policy",
)
# Triton hands the path of a model to bash unquoted: nothing else may stand in a name.
SAFE_NAME = re.compile(r"[A-Za-z0-9_.-]+")


def models_in(repository: Path) -> list[str]:
    """Names of the models, sorted: the folders that hold a config.pbtxt."""
    return sorted(path.parent.name for path in repository.glob("*/config.pbtxt"))


def check_repository(
    repository: Path,
    models: list[str],
    within_seconds: float = math.inf,
    *,
    may_stand_in: bool = False,
) -> dict[str, str]:
    """Raise ServeError, with what to do, unless every model can be loaded from its files.

    That they take longer to read than `within_seconds` is one more reason. With `may_stand_in` a
    missing GPU is none where the model has its engine for processors: returns why those models
    need it, by name.
    """
    stand_ins = {}
    if not repository.is_dir():
        raise ServeError(f"No model repository at {repository}: name one with --repository.")
    if not models:
        raise ServeError(f"No model in {repository}: build some with `sub50 engines build`.")
    begun = time.monotonic()
    with told_when_slow(f"the engines in {repository}"):
        for number, model in enumerate(models, start=1):
            reason = check_model(repository / model, may_stand_in=may_stand_in)
            if reason is not None:
                stand_ins[model] = reason
            seconds = time.monotonic() - begun
            if seconds > within_seconds:
                raise ServeError(
                    f"Triton was not ready in {within_seconds:g} s: to read {number} of "
                    f"{len(models)} engines took {seconds:.1f} s, the disk of {repository} is "
                    "slow. Set SUB50_TRITON_START_SECONDS higher, or put them on another disk."
                )
    return stand_ins


def check_model(folder: Path, *, may_stand_in: bool = False) -> str | None:
    """As `check_repository`, for one model."""
    if not SAFE_NAME.fullmatch(folder.name):
        raise ServeError(f"Model name {folder.name!r}: use only letters, digits, '_', '-' and '.'.")
    config = read_config(folder / "config.pbtxt")
    if config.name not in ("", folder.name):
        raise ServeError(f"{folder}/config.pbtxt names its model {config.name!r}: make them equal.")
    if config.backend not in SOURCES:
        raise ServeError(
            f"Model {folder.name} asks for backend {config.backend!r}; the embedded Triton has "
            f"{', '.join(SOURCES)}. Serve it with NVIDIA's Triton and `sub50 api --triton`."
        )
    if package_folder(config.backend) is None:
        raise ServeError(
            f"Model {folder.name} asks for {config.backend}, which is not installed: "
            f"`pip install 'sub50[{config.backend}]'`, or go back with "
            f"`sub50 engines tune {folder.name} --reset`."
        )
    check_config(config, folder / "config.pbtxt")
    file_name = config.default_model_filename or DEFAULT_FILE_NAMES[config.backend]
    version = served_version(folder)
    no_gpu = why_not_on_gpu(config, folder.name)
    if no_gpu is not None:
        if not (may_stand_in and version and (folder / version / ENGINE_FILE).is_file()):
            raise ServeError(no_gpu)
        file_name = ENGINE_FILE
    if version is None or not (folder / version / file_name).exists():
        raise ServeError(
            f"The engine of model {folder.name} is missing: no "
            f"{folder}/{version or '<version>'}/{file_name}. "
            f"Build it with `sub50 engines build {folder.name}`."
        )
    check_files(folder, folder / version)
    check_engine(folder / version, file_name)
    return no_gpu


def check_engine(version: Path, file_name: str) -> None:
    """Raise ServeError unless an engine file is the one of its card, and plain ONNX."""
    name = version.parent.name
    try:
        require_engine(version, whole_card(version), file_name)
    except VersionError as error:
        raise ServeError(
            f"Model {name} cannot be served: {error}. It is built anew by `sub50 engines build "
            f"{name}`, and imported anew by `sub50 engines import`."
        ) from error


def refused_versions(repository: Path, configs: Mapping[str, str]) -> dict[str, str]:
    """Why models may not be loaded anew from what lies there now, by name.

    Args:
        repository: the folder with the models.
        configs: what each is to be loaded with, as JSON that names its versions.
    """
    refused = {}
    for name, text in configs.items():
        config = json_format.Parse(text, model_config_pb2.ModelConfig())
        file_name = config.default_model_filename or DEFAULT_FILE_NAMES[config.backend]
        try:
            for number in config.version_policy.specific.versions:
                version = repository / name / str(number)
                check_files(version.parent, version)
                check_engine(version, file_name)
        except (ServeError, OSError) as error:
            refused[name] = str(error)
    return refused


def served_version(folder: Path) -> str | None:
    """The version of a model that is served, None where it has none; ServeError if unclear."""
    try:
        version = served_folder(folder)
    except VersionError as error:
        raise ServeError(f"{error}.") from error
    return None if version is None else version.name


def read_config(path: Path) -> model_config_pb2.ModelConfig:
    """A model's configuration. Raises ServeError if it is missing or malformed."""
    try:
        return text_format.Parse(path.read_text("utf-8"), model_config_pb2.ModelConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise ServeError(f"{path} cannot be read as a model configuration: {error}.") from error


def embedded_config(
    folder: Path, versions: Sequence[str] = (), *, on_processors: bool = False
) -> str:
    """A model's configuration for the embedded server, as JSON.

    `versions` are those to load; where none is named, the file's own policy counts. With
    `on_processors` it is that of the engine that stands in for one on a GPU.
    """
    config = _embedded(folder, on_processors)
    if versions:
        config.version_policy.specific.versions[:] = [int(version) for version in versions]
    return str(json_format.MessageToJson(config, preserving_proto_field_name=True, indent=None))


def with_versions(config: str, versions: Sequence[str]) -> str:
    """A model's configuration, as JSON, that has these versions loaded."""
    changed = json.loads(config)
    changed["version_policy"] = {"specific": {"versions": sorted(versions, key=int)}}
    return json.dumps(changed)


def instances_of(config: str) -> int:
    """How many calls of a model Triton runs side by side; `config` is what it loaded, as JSON."""
    parsed = json_format.Parse(config, model_config_pb2.ModelConfig())
    counts: list[int] = [group.count for group in parsed.instance_group]
    return max(1, sum(counts))


def _embedded(folder: Path, on_processors: bool) -> model_config_pb2.ModelConfig:
    """The configuration on disk with these changes.

    An engine that nobody tuned, one instance with all cores, becomes two with half of them each:
    a text then never waits for one other, and two runs lose no time to waiting for each other's
    threads. On two cores, 420 sentences/s, 12 % were missed so and 27 % with one instance.

    An engine on a GPU is opened there by our backend, which is told so; Triton knows of no GPU.

    Where a model has several instances, Triton does not batch: our scheduler does, and sends one
    call for each instance. Triton's batcher finds two of them in its queue while both instances are
    free, and gives both to one. A document divided over two instances took 46 ms, 30 ms without.

    Texts of different length may share a batch. Otherwise Triton's batcher stops at the first
    request in its queue of another length, and batches of mixed traffic stay near one. Our
    backend copes with that; NVIDIA's C++ backend, for which the file must hold, does not.

    Priorities and queue policies are left out. With any of them this Triton wakes nobody for a
    request that arrives while every instance is busy, and finds it up to 500 ms later
    (https://github.com/triton-inference-server/server/issues/8870).
    """
    config = read_config(folder / "config.pbtxt")
    if on_processors:
        put_on_processors(config)
    if runs_on_gpu(config):
        tell_backend(config)
    else:
        _halve_the_cores(config)
    if sum(group.count for group in config.instance_group) > 1:
        config.ClearField("dynamic_batching")
    if config.HasField("dynamic_batching"):
        for tensor in config.input:
            tensor.allow_ragged_batch = True
        for field in QUEUE_FIELDS:
            config.dynamic_batching.ClearField(field)
    return config


def _halve_the_cores(config: model_config_pb2.ModelConfig) -> None:
    cores = len(os.sched_getaffinity(0))
    threads = config.parameters.get(THREADS_PARAMETER)
    takes_all = threads is not None and threads.string_value == ALL_CORES
    if takes_all and cores > 1 and [group.count for group in config.instance_group] == [1]:
        config.instance_group[0].count = 2
        config.parameters[THREADS_PARAMETER].string_value = str(cores // 2)
