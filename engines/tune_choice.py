"""What the user asks `sub50 engines tune` to measure, and the candidates that come of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.plan import TENSORRT
from engines.errors import EngineError
from engines.runtimes import CUDA, Candidate, candidates
from engines.tune_unmeasured import FOR_GPU

DEFAULT_LENGTHS = "25:0.7,128:0.3"
DEFAULT_SECONDS = 1.2
OF_THEIR_OWN = (
    "TensorRT plans are served by NVIDIA's Triton alone, and lie in a repository of their own: "
    "`sub50 engines build --runtime tensorrt` makes them, `sub50 engines tune --repository "
    "model_repository_gpu` chooses among them there, and `sub50 engines evaluate NAME --against "
    "model_repository_gpu/NAME/1` sets one beside what is served here"
)


@dataclass(frozen=True)
class Choice:
    """What is measured, and how.

    Attributes:
        lengths: the mix of texts to measure with, as in `25:0.7,128:0.3` (tokens:weight).
        runtime: measure only this one, `onnxruntime`, `openvino` or, on a GPU, `cuda`; a model that
            is a plan is measured by `tensorrt` alone.
        precision: measure only this one, `int8`, `fp32`, `bf16` or `fp16`.
        seconds: time of each candidate at each batch size.
        base_folder: folder of the base encoder; None fetches it into a cache.
        data: folder or file of labelled data, to hold accuracy to the gate too.
        dry_run: measure, and write nothing.
        source: folder of the checkpoint or adapter, where it is not found by itself.
        unmeasured: write the engine for a GPU that this machine has not; the gate alone is asked.
    """

    lengths: str = DEFAULT_LENGTHS
    runtime: str | None = None
    precision: str | None = None
    seconds: float = DEFAULT_SECONDS
    base_folder: Path | None = None
    data: Path | None = None
    dry_run: bool = False
    source: Path | None = None
    unmeasured: bool = False

    def ways(self) -> list[Candidate]:
        """The candidates of an engine that is ONNX.

        Raises:
            EngineError: none is left, or one cannot be run here.
        """
        if self.runtime == TENSORRT:
            raise EngineError(OF_THEIR_OWN)
        if not self.unmeasured:
            return candidates(self.runtime, self.precision)
        if self.runtime != CUDA or (self.precision or "fp16").lower() != "fp16":
            raise EngineError(
                "--unmeasured is for a GPU that is elsewhere: say --runtime cuda with it. What "
                "runs on this machine is measured"
            )
        return [FOR_GPU]
