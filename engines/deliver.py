"""Copies the engines that are served to where a server reads them, and lets no other bytes through.

Meant for the init step of a pod: it fails, and the pod does not start, where a file is not the one
that was built. It also fits each engine's threads to the cores that the container may use: a
runtime counts the cores of the whole machine, takes as many threads, and is then held back by its
quota for most of every 100 ms.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from engines.checksum_list import check_listed, read_checksums, served_files
from engines.checksums import file_sha256
from engines.errors import EngineError
from engines.gpu_config import is_on_gpu, put_on_gpu
from engines.model_config import CONFIG_FILE, THREADS, read_config
from engines.plan_target import check_plans
from engines.room import full_disk_told, require_room

DELIVERED_HEADER = "# Written by `sub50 engines deliver` from the file that came with the engine.\n"


@dataclass(frozen=True)
class Fit:
    """What a server's container may use.

    `cores` of the container are divided over `instances` of each engine; None leaves both as they
    are configured. On a "gpu" the engine runs there instead. `gpu` and `tensorrt` are what a
    TensorRT plan will find there, by default what this machine has.
    """

    cores: int | None = None
    instances: int = 1
    device: Literal["cpu", "gpu"] = "cpu"
    gpu: str | None = None
    tensorrt: str | None = None

    def __post_init__(self) -> None:
        if self.cores is None and self.instances > 1:
            raise EngineError(f"say with --cores what --instances {self.instances} are to share")
        if self.cores is not None and self.cores < self.instances:
            raise EngineError(
                f"--cores {self.cores} do not suffice for --instances {self.instances}: give the "
                "container more, or ask for fewer instances"
            )


def deliver(source: Path, destination: Path, checksums: Path | None, fit: Fit) -> dict[str, str]:
    """Copy what is served from one repository to another, checked before and after.

    What the destination has of other versions and models is removed, so that a pod whose init step
    runs again ends with the same files.

    Returns the SHA-256 of each file copied, by its path within the repository.

    Raises:
        EngineError: the source is not whole, its files are not those of the list in `checksums` or
            of their cards, a TensorRT plan would not run there, or a copy differs from its source.
            Nothing is left to serve then. Or there is no room: then what was there is as it was, or
            nothing is left where the disk filled up meanwhile.
    """
    _check_apart(source, destination)
    try:
        check_plans(source, fit.device, fit.gpu, fit.tensorrt)
        files = served_files(source)
        if checksums is not None:
            check_listed(files, read_checksums(checksums), str(checksums))
    except BaseException:
        _empty(destination)
        raise
    needed_bytes = sum(path.stat().st_size for path in files.values())
    require_room(destination, needed_bytes, replaced_bytes=_bytes_in(destination))
    _empty(destination)
    try:
        with full_disk_told(destination, needed_bytes):
            delivered = {name: _copy(path, destination / name) for name, path in files.items()}
            for config in sorted(destination.glob(f"*/{CONFIG_FILE}")):
                _write_fit(config, fit)
    except BaseException:
        for model in {name.partition("/")[0] for name in files}:
            shutil.rmtree(destination / model, ignore_errors=True)
        raise
    return delivered


def _check_apart(source: Path, destination: Path) -> None:
    ours, theirs = source.resolve(), destination.resolve()
    if ours == theirs or ours in theirs.parents or theirs in ours.parents:
        raise EngineError(f"{destination} and {source} must be apart: what is there is replaced")


def _empty(destination: Path) -> None:
    """Remove every model; other files there are no models to a server, and not ours."""
    for config in destination.glob(f"*/{CONFIG_FILE}"):
        shutil.rmtree(config.parent)


def _bytes_in(destination: Path) -> int:
    """What the models take that `_empty` removes."""
    models = [config.parent for config in destination.glob(f"*/{CONFIG_FILE}")]
    return sum(path.lstat().st_size for model in models for path in model.rglob("*"))


def _copy(source: Path, target: Path) -> str:
    """Copy a file and read it back; returns its SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    expected, found = file_sha256(source), file_sha256(target)
    if found != expected:
        raise EngineError(
            f"{target} differs from {source} after copying: the disk or the volume is at fault; "
            "delete the pod to start on another node"
        )
    return found


def _write_fit(path: Path, fit: Fit) -> None:
    """Write a configuration anew for the container's cores, or for its GPU."""
    config = read_config(path)
    if fit.device == "gpu":
        _write_for_gpu(path, config)
    elif is_on_gpu(config):
        raise EngineError(
            f"{path} has the engine run on a GPU: deliver it with --device gpu, or go back to the "
            f"engine for processors with `sub50 engines tune {path.parent.name} --reset`"
        )
    elif fit.cores is not None:
        del config.instance_group[1:]
        config.instance_group[0].count = fit.instances
        threads = str(fit.cores // fit.instances)
        config.parameters[_thread_parameter(path, config)].string_value = threads
        if fit.instances > 1:
            # Our scheduler sends one call for each instance; Triton's batcher may give two to one.
            config.ClearField("dynamic_batching")
    else:
        return
    path.write_text(DELIVERED_HEADER + text_format.MessageToString(config), encoding="utf-8")


def _write_for_gpu(path: Path, config: model_config_pb2.ModelConfig) -> None:
    if config.backend == "onnxruntime":
        put_on_gpu(config)
    elif not is_on_gpu(config):
        raise EngineError(
            f"{path}: --device gpu knows no way to have backend {config.backend!r} on a GPU; go "
            f"back to ONNX Runtime with `sub50 engines tune {path.parent.name} --reset`"
        )


def _thread_parameter(path: Path, config: model_config_pb2.ModelConfig) -> str:
    if config.backend not in THREADS:
        raise EngineError(
            f"{path}: --cores knows no way to set the threads of backend {config.backend!r}, only "
            f"of {' and '.join(THREADS)}; leave it out and set them there"
        )
    return THREADS[config.backend]
