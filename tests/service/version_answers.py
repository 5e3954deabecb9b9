"""What another version of the made-up `sentiment` may answer."""

from __future__ import annotations

import numpy as np

from tests.service.conftest import logits_by_words


def doubled(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
    """The served model's labels with other scores, so that the versions can be told apart."""
    return 2 * logits_by_words(input_ids, attention_mask)


def swapped(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
    """Every label the other one, and sure of it."""
    return -9 * logits_by_words(input_ids, attention_mask)


def without_numbers(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
    return logits_by_words(input_ids, attention_mask) * np.nan


def three_wide(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
    return np.repeat(logits_by_words(input_ids, attention_mask), 2, axis=1)[:, :3]


def deaf(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
    return np.tile([1.0, 2.0], (len(input_ids), 1))
