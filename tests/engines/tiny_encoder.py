"""A BERT encoder of random weights, small enough to work out its answers with NumPy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from engines.graph import EncoderShape

Array = NDArray[np.float32]
SHAPE = EncoderShape(heads=4, layers=2, layer_norm_epsilon=1e-12)
HIDDEN, WIDE, WORDS, POSITIONS, LABELS = 64, 128, 200, 512, 3


def tiny_weights(seed: int = 0) -> dict[str, Array]:
    """Weights by their names in a Hugging Face checkpoint, with a few channels far larger than
    the others, as trained encoders have."""
    random = np.random.default_rng(seed)

    def matrix(*shape: int) -> Array:
        return random.normal(0, 1.5 / math.sqrt(shape[-1]), shape).astype(np.float32)

    def norm(name: str) -> dict[str, Array]:
        scale = random.uniform(0.5, 1.5, HIDDEN).astype(np.float32)
        scale[:2] *= 8
        return {f"{name}.weight": scale, f"{name}.bias": matrix(HIDDEN)}

    weights = {
        "embeddings.word_embeddings.weight": matrix(WORDS, HIDDEN),
        "embeddings.position_embeddings.weight": matrix(POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": matrix(2, HIDDEN),
        **norm("embeddings.LayerNorm"),
    }
    for layer in range(SHAPE.layers):
        name = f"encoder.layer.{layer}"
        for part, out, into in (
            ("attention.self.query", HIDDEN, HIDDEN),
            ("attention.self.key", HIDDEN, HIDDEN),
            ("attention.self.value", HIDDEN, HIDDEN),
            ("attention.output.dense", HIDDEN, HIDDEN),
            ("intermediate.dense", WIDE, HIDDEN),
            ("output.dense", HIDDEN, WIDE),
        ):
            weights[f"{name}.{part}.weight"] = matrix(out, into)
            weights[f"{name}.{part}.bias"] = matrix(out)
        weights |= norm(f"{name}.attention.output.LayerNorm") | norm(f"{name}.output.LayerNorm")
    return weights


def tiny_head(seed: int = 1) -> tuple[Array, Array]:
    """A head's weight (labels, hidden) and bias (labels,)."""
    random = np.random.default_rng(seed)
    weight = random.normal(0, 0.3, (LABELS, HIDDEN)).astype(np.float32)
    return weight, random.normal(0, 0.1, LABELS).astype(np.float32)


def tiny_rows(count: int, longest: int = 100, seed: int = 2) -> list[list[int]]:
    """Token ids of `count` texts of mixed length."""
    random = np.random.default_rng(seed)
    lengths = random.integers(2, longest, count)
    return [random.integers(1, WORDS, length).tolist() for length in lengths]


def pooled_by_hand(weights: dict[str, Array], row: list[int]) -> NDArray[np.float64]:
    """Mean of the last hidden states of one text, float64 (hidden,), as BERT's paper has it."""
    double = {name: value.astype(np.float64) for name, value in weights.items()}

    def linear(value: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        result: NDArray[np.float64] = value @ double[f"{name}.weight"].T + double[f"{name}.bias"]
        return result

    def norm(value: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        centred = value - value.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + SHAPE.layer_norm_epsilon)
        result: NDArray[np.float64] = centred / deviation * double[f"{name}.weight"]
        return result + double[f"{name}.bias"]

    hidden = double["embeddings.word_embeddings.weight"][row]
    hidden = hidden + double["embeddings.position_embeddings.weight"][: len(row)]
    hidden = norm(
        hidden + double["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm"
    )
    for layer in range(SHAPE.layers):
        name = f"encoder.layer.{layer}"
        query, key, value = (
            linear(hidden, f"{name}.attention.self.{part}").reshape(len(row), SHAPE.heads, -1)
            for part in ("query", "key", "value")
        )
        scores = np.einsum("qhd,khd->hqk", query, key) / math.sqrt(HIDDEN / SHAPE.heads)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        context = np.einsum("hqk,khd->qhd", shares, value).reshape(len(row), HIDDEN)
        attended = linear(context, f"{name}.attention.output.dense") + hidden
        attended = norm(attended, f"{name}.attention.output.LayerNorm")
        wide = linear(attended, f"{name}.intermediate.dense")
        wide = 0.5 * wide * (1 + np.vectorize(math.erf)(wide / math.sqrt(2)))
        hidden = norm(linear(wide, f"{name}.output.dense") + attended, f"{name}.output.LayerNorm")
    pooled: NDArray[np.float64] = hidden.mean(axis=0)
    return pooled
