"""An exported graph made plain: constants folded, every input declared, nothing fused.

ONNX Runtime's own basic optimizations do it. Products are left as they are: fused with their bias
into Gemm they would not be found, and run in FP32.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from engines.constants import share_constants
from engines.errors import EngineError
from engines.room import require_room
from engines.tensor_names import INPUT_NAMES

OUTPUT_NAME = "logits"
FUSIONS = ["MatMulAddFusion", "MatMulScaleFusion", "MatMulTransposeFusion"]


def simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with constants folded, in standard ONNX, with exactly our inputs.

    Raises:
        EngineError: it has other inputs or outputs, or operators beyond the standard; or there is
            no room in the temporary folder.
    """
    with tempfile.TemporaryDirectory(prefix="sub50-import-") as folder:
        require_room(Path(folder).parent, model.ByteSize())  # ONNX Runtime would not say what fails
        target = Path(folder) / "simple.onnx"
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(target)
        ort.InferenceSession(
            model.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=FUSIONS,
        )
        simple = onnx.load(target)
    # A layer that is used several times (ALBERT's) had its weights turned once for each.
    share_constants(simple)
    _declare(simple)
    return simple


def _declare(model: onnx.ModelProto) -> None:
    graph = model.graph
    outputs = [value.name for value in graph.output]
    unknown = {value.name for value in graph.input} - set(INPUT_NAMES)
    if unknown or outputs != [OUTPUT_NAME]:
        raise EngineError(
            f"the exported graph takes {', '.join(sorted(unknown)) or 'our inputs'} and gives "
            f"{', '.join(outputs)}; expected {', '.join(INPUT_NAMES)} and {OUTPUT_NAME}"
        )
    foreign = {node.domain for node in graph.node} - {"", "ai.onnx"}
    if foreign:
        raise EngineError(f"the exported graph has operators of {', '.join(sorted(foreign))}")
    del graph.input[:]
    # An input that the model does not use is declared too: every engine takes the same three.
    graph.input.extend(
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in INPUT_NAMES
    )
    width = graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    graph.output[0].CopyFrom(
        helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["batch", width])
    )
    # Shapes that ONNX Runtime noted under the exporter's names for the dimensions.
    del graph.value_info[:]
    standard = [entry for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    del model.opset_import[:]
    model.opset_import.extend(standard)
