"""What kind of work an operator is, by its name in ONNX Runtime, OpenVINO or PyTorch."""

from __future__ import annotations

INT8_PRODUCTS = "products, INT8"
FLOAT_PRODUCTS = "products, float"
QUANTIZING = "quantizing"
NORMS = "norms and activations"
MOVING = "moving and casting"
OTHER = "other"
GROUPS = (INT8_PRODUCTS, FLOAT_PRODUCTS, QUANTIZING, NORMS, MOVING, OTHER)

# What OpenVINO runs in 8 bits has the name that it has in 32.
IN_INT8 = " INT8"
QUANTIZERS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "FakeQuantize")
# A layer norm and a GELU that are spelled out are made of these, among others.
NORM_PARTS = ("ReduceMean", "Pow", "Sqrt")
GELU_PARTS = ("Erf", "Tanh")

# In PyTorch: to another device, layout or precision.
COPIES = ("aten::copy_", "aten::_to_copy", "aten::to")

_NAMES = {
    INT8_PRODUCTS: (
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "DynamicQuantizeMatMul",
        "QLinearMatMul",
        "QGemm",
        "QAttention",
    ),
    FLOAT_PRODUCTS: (
        "MatMul",
        "MatMulNBits",
        "Gemm",
        "FusedMatMul",
        "FusedGemm",
        "Attention",
        "MultiHeadAttention",
        "FullyConnected",
        "mm",
        "addmm",
        "bmm",
        "baddbmm",
        "mkldnn_linear",
        "mkldnn_linear_pointwise",
        "scaled_dot_product_attention",
    ),
    QUANTIZING: QUANTIZERS,
    NORMS: (
        "LayerNormalization",
        "SkipLayerNormalization",
        "SimplifiedLayerNormalization",
        "RMSNormalization",
        "MVN",
        "Softmax",
        "Gelu",
        "BiasGelu",
        "FastGelu",
        "QuickGelu",
        *NORM_PARTS,
        *GELU_PARTS,
        "native_layer_norm",
        "native_layer_norm_backward",
        "_softmax",
        "_softmax_backward_data",
        "gelu",
        "gelu_backward",
        "native_dropout",
    ),
    MOVING: (
        "Reshape",
        "Transpose",
        "Gather",
        "GatherElements",
        "GatherND",
        "Concat",
        "Slice",
        "StridedSlice",
        "Split",
        "VariadicSplit",
        "Squeeze",
        "Unsqueeze",
        "Cast",
        "Convert",
        "Expand",
        "Broadcast",
        "Reorder",
        "Identity",
        "MemcpyFromHost",
        "MemcpyToHost",
        "copy_",
        "_to_copy",
        "to",
        "clone",
        "contiguous",
        "cat",
        "embedding",
        "embedding_dense_backward",
        "index_select",
    ),
}
_GROUP_OF = {name: group for group, names in _NAMES.items() for name in names}


def group_of(operator: str) -> str:
    """The group of a type of operator: `MatMul`, `FullyConnected INT8`, `aten::mm`."""
    if operator.endswith(IN_INT8):
        return INT8_PRODUCTS
    return _GROUP_OF.get(operator.removeprefix("aten::"), OTHER)
