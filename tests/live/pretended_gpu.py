"""`python -m tests.live.pretended_gpu GONE serve …`: `sub50` on a machine that seems to have a GPU.

The processor plays it, until there is a file GONE. All else is the real thing, in the process of
the model as well: `sub50_cuda` is laid beside its backend with a few lines more.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from core import onnx_runtime
from service.cli import app
from service.triton import command

PRETENDED = """

from pathlib import Path

GONE = Path({gone!r})
CPU = "CPUExecutionProvider"


def open_session(engine, options, chosen):
    require_provider([CPU] if GONE.exists() else [PROVIDER])
    return ort.InferenceSession(engine, options, providers=[CPU])


class BoundEngine(BoundEngine):
    def __init__(self, *given):
        super().__init__(*given, device="cpu", graphs=False)

    def _run(self, inputs, length):
        if GONE.exists():
            raise RuntimeError("CUDA failure 719: unspecified launch failure")
        return super()._run(inputs, length)
"""


def main() -> None:
    gone = sys.argv.pop(1)
    found = {onnx_runtime.GPU: onnx_runtime.installed_runtimes()[onnx_runtime.CPU]}
    onnx_runtime.installed_runtimes = lambda path=None: found
    with tempfile.TemporaryDirectory() as folder:
        real = next(file for file in command.SHARED if file.name == "sub50_cuda.py")
        pretended = Path(folder) / real.name
        pretended.write_text(real.read_text() + PRETENDED.format(gone=gone))
        command.SHARED[command.SHARED.index(real)] = pretended
        app()


if __name__ == "__main__":
    main()
