"""How an adapter is trained, in numbers. Everything that decides its bytes, but data and base."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Method = Literal["lora", "full", "qlora"]
METHODS: tuple[Method, ...] = get_args(Method)
# A rare label weighs at most so many times, and a frequent one at least that part of, the mean.
LARGEST_WEIGHT = 10.0


@dataclass(frozen=True)
class Recipe:
    """How an adapter is trained.

    The learning rate rises over the first `warmup_share` of the steps and falls in a line to
    `last_rate_share` of its height. Averaged weights gain most where the rate stays high
    (stochastic weight averaging, Izmailov et al. 2018, arXiv:1803.05407).

    Attributes:
        method: `lora` trains low-rank updates of the encoder's linear layers, `qlora` the same
            over a base that is held in 4 bits (Dettmers et al. 2023, arXiv:2305.14314), `full`
            all weights of the encoder but its word embeddings, half of all, of which a small
            data set touches few.
        patience: training ends after so many epochs that were no better on the validation texts,
            and the best epoch is kept; 0 trains all epochs and keeps the last.
        class_weights: the loss of a text counts the more, the rarer its label is.
        gradient_checkpointing: activations are computed twice rather than kept: less memory, more
            time.
    """

    epochs: int
    max_tokens: int
    rank: int = 16
    alpha: int = 32
    learning_rate: float = 6e-4
    warmup_share: float = 0.06
    last_rate_share: float = 0.0
    weight_decay: float = 0.01
    head_dropout: float = 0.1
    label_smoothing: float = 0.05
    averaging_decay: float = 0.998
    tokens_per_batch: int = 4096
    seed: int = 50
    method: Method = "lora"
    patience: int = 0
    class_weights: bool = False
    gradient_checkpointing: bool = False


def balanced_weights(labels: Sequence[int], count: int) -> list[float]:
    """The weight of each of `count` labels: n / (count · n of the label), within 10 and a tenth.

    Raises:
        ZeroDivisionError: a label never occurs.
    """
    texts = Counter(labels)
    weights = [len(labels) / (count * texts[label]) for label in range(count)]
    return [min(max(weight, 1 / LARGEST_WEIGHT), LARGEST_WEIGHT) for weight in weights]
