"""What the inputs of every engine are called, for those who need no graph to know it."""

from __future__ import annotations

INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")
