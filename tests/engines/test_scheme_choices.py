"""Each scheme to choose from on a tiny encoder: near FP32, and still, but for the dynamic one."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from engines import gate
from engines.calibrate import ChannelRange, channel_ranges
from engines.errors import EngineError
from engines.graph import classifier_graph
from engines.linear_layers import Layer, find_layers, with_shared_ranges
from engines.measure import answers_alone, invariance, open_session
from engines.quantize import quantize
from engines.quantize_imported import quantize_imported
from engines.scheme_choices import CHOICES, DEFAULT, by_blocks, choice_of
from tests.engines.tiny_encoder import SHAPE, tiny_head, tiny_rows, tiny_weights


class Tiny:
    """A tiny encoder's graph, calibrated."""

    def __init__(self) -> None:
        self.reference = classifier_graph(tiny_weights(), SHAPE, *tiny_head())
        self.layers: list[Layer] = find_layers(self.reference, tiny_rows(1)[0])
        self.seen = channel_ranges(self.reference, tiny_rows(60, seed=7))
        self.ranges: dict[str, ChannelRange] = with_shared_ranges(self.layers, self.seen)
        self.rows = tiny_rows(64)
        self.expected = answers_alone(open_session(self.reference, 1), self.rows)

    def engine(self, name: str) -> onnx.ModelProto:
        scheme = CHOICES[name].scheme
        return quantize_imported(self.reference, self.layers, self.ranges, scheme=scheme)


@pytest.fixture(scope="module")
def tiny() -> Tiny:
    return Tiny()


@pytest.mark.parametrize("name", list(CHOICES))
def test_answers_stay_near_and_the_file_shrinks(tiny: Tiny, name: str) -> None:
    model = tiny.engine(name)
    onnx.checker.check_model(model)
    answers = answers_alone(open_session(model, 1), tiny.rows)
    change = np.abs(answers - tiny.expected).max(axis=1)
    assert 0 < change.mean() < 0.1
    assert model.ByteSize() < 0.6 * tiny.reference.ByteSize()


@pytest.mark.parametrize("name", list(CHOICES))
def test_only_the_dynamic_scheme_moves_with_batch_mates(tiny: Tiny, name: str) -> None:
    session = open_session(tiny.engine(name), 1)
    alone = answers_alone(session, tiny.rows)
    held = invariance(session, tiny.rows, alone, gate.INVARIANCE_LIMIT)
    moves = held.largest_change > gate.INVARIANCE_LIMIT
    assert moves == (name == "dynamic"), held


def test_the_default_is_what_default_engines_have(tiny: Tiny) -> None:
    built = open_session(quantize(tiny.reference, tiny.seen), 1)
    chosen = open_session(tiny.engine(DEFAULT), 1)
    assert np.array_equal(answers_alone(built, tiny.rows), answers_alone(chosen, tiny.rows))


def test_layers_that_are_no_whole_blocks_are_refused(tiny: Tiny) -> None:
    with pytest.raises(EngineError, match="no whole blocks of 48"):
        quantize_imported(tiny.reference, tiny.layers, tiny.ranges, scheme=by_blocks(48))


def test_an_unknown_scheme_lists_those_there_are() -> None:
    with pytest.raises(EngineError, match="mixed, static, smoothed, per-token, blocks, dynamic"):
        choice_of("int4")
