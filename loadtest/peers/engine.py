"""The engine that both peers serve: the INT8 file of `sentiment`, its tokenizer and its labels.

Written as a user of the file would write it, with nothing of this project, so that the peers show
what is had without it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from pydantic import BaseModel
from tokenizers import Tokenizer

DEFAULT_MODEL = Path("model_repository/sentiment")
MAX_TOKENS = 512


class Label(BaseModel):
    """One text's answer: the most probable label, its probability, and the text's tokens."""

    label: str
    score: float
    tokens: int


class Engine:
    """Tokenizer and ONNX Runtime session of one classifier.

    Args:
        model: the model's folder, with `labels.txt` and `1/{model.onnx,tokenizer.json}`.
        threads: ONNX Runtime's intra-op threads.
        spinning: whether those threads spin while they wait for work, ONNX Runtime's default.

    Raises:
        FileNotFoundError: the engine is not built.
    """

    def __init__(self, model: Path, threads: int, spinning: bool = False) -> None:
        version = model / "1"
        if not (version / "model.onnx").is_file():
            raise FileNotFoundError(f"{version}/model.onnx is missing: run `sub50 engines build`")
        self.labels = (model / "labels.txt").read_text(encoding="utf-8").split()
        self.tokenizer = Tokenizer.from_file(str(version / "tokenizer.json"))
        # The file says to pad every text to 128 tokens and to cut it there.
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_TOKENS)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
        self.session = ort.InferenceSession(
            str(version / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def classify(self, texts: Sequence[str]) -> list[Label]:
        """Answers to one batch, padded to its longest text; one text is not padded at all."""
        rows = [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts))]
        input_ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
        attention_mask = np.zeros_like(input_ids)
        for index, row in enumerate(rows):
            input_ids[index, : len(row)] = row
            attention_mask[index, : len(row)] = 1
        logits = self.session.run(
            None,
            {
                "input_ids": input_ids,
                "attention_mask": attention_mask,
                "token_type_ids": np.zeros_like(input_ids),
            },
        )[0]
        return [
            Label(label=self.labels[best], score=float(scores[best]), tokens=len(row))
            for row, scores in zip(rows, probabilities(logits), strict=True)
            for best in [int(scores.argmax())]
        ]


def probabilities(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Softmax over the last axis, float32 (rows, labels)."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: npt.NDArray[np.float32] = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))
