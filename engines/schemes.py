"""Which INT8 scheme the engines have, and what else was tried, for their cards.

docs/int8.md has the tables behind the notes.
"""

from __future__ import annotations

SCHEME = (
    "QDQ; weights signed, a scale per output channel; activations unsigned: static and smoothed "
    "(0.7) after layer norms, static after attention, per token after GELU; head FP32; word "
    "embeddings INT8, a scale per word"
)

# Figures of the topics engine on topics/validation (1,501 texts): mean and largest change of a
# probability against FP32, labels changed; largest change with batch-mates or padding over 96
# texts; median time over FP32's at 1x32 and 8x128, one thread of an AMD EPYC with AVX512-VNNI.
SCHEME_NOTES = (
    "served: change 0.0034, 0.087, 8 labels; invariance 0; time 0.43, 0.45",
    "dynamic, one scale a tensor (ONNX Runtime's): change 0.0109, 0.219, 21 labels; invariance "
    "0.164 with 3 flips in 96; time 0.38, 0.41. Refused: answers depend on batch-mates",
    "static, one scale a tensor, min-max: change 0.0116, 0.227, 20 labels; invariance 0; time "
    "0.40, 0.43. Three times as far off",
    "static, smoothed 0.85 everywhere: change 0.0086, 0.473, 12 labels; invariance 0; time 0.41, "
    "0.42. Tokens with outliers after GELU clip",
    "per token everywhere: change 0.0049, 0.073, 11 labels; invariance 0; time 0.46, 0.47. Needs "
    "no calibration, but slower and not closer",
    "MatMulNBits, 8 bits, blocks of 64: change 0.0019, 0.037, 4 labels; invariance 0; time 0.59, "
    "0.80. Closest, but slow",
    "NNCF, transformer preset (base encoder's vectors, 1 - cosine): change 0.0026, 0.0081 against "
    "0.0010, 0.0015 served; invariance 0; time 0.99, 0.74 in ONNX Runtime",
)
