"""`--runtime` and `--precision` of the commands that make engines."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from engines.commands import DEFAULT_REPOSITORY
from engines.errors import EngineError

# Plans lie apart from the engines for CPUs: a model has one config.pbtxt, and so one backend.
PLANS = Path("model_repository_gpu")


class Runtime(StrEnum):
    """What an engine is made for."""

    ONNXRUNTIME = "onnxruntime"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


class Precision(StrEnum):
    """What a GPU multiplies in."""

    FP16 = "fp16"
    INT8 = "int8"


RuntimeOption = Annotated[
    Runtime, typer.Option(help="What runs it: onnxruntime on CPUs, cuda or tensorrt on this GPU.")
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(help="On a GPU: fp16 (the default), or int8 by tensorrt.", show_default=False),
]


def plan_repository(repository: Path) -> Path:
    """Where plans go: where the user says, else in a folder of their own."""
    return PLANS if repository == DEFAULT_REPOSITORY else repository


def refuse_precision(runtime: Runtime, precision: Precision | None) -> None:
    """Raise EngineError for a precision that a runtime other than TensorRT has no use for."""
    if runtime is Runtime.CUDA and precision is Precision.INT8:
        raise EngineError(
            "--precision int8 on a GPU is TensorRT's: say --runtime tensorrt; --runtime cuda is "
            "FP16"
        )
    if runtime is Runtime.ONNXRUNTIME and precision is Precision.FP16:
        raise EngineError(
            "--precision fp16 is for GPUs: add --runtime cuda or tensorrt; engines for CPUs are "
            "INT8, and `sub50 engines tune` measures FP32 and BF16 beside it"
        )
