"""The mark of tests that need the ONNX Runtime for processors, which knows of no GPU."""

from __future__ import annotations

import onnxruntime as ort
import pytest

from core import sub50_cuda

cpu_runtime = pytest.mark.skipif(
    sub50_cuda.PROVIDER in ort.get_available_providers(), reason="ONNX Runtime is the GPU's"
)
