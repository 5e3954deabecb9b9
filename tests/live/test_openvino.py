"""Engines served by OpenVINO through the embedded Triton, against the same by ONNX Runtime."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from core.card import read_card
from core.scores import softmax
from core.tokenizer import TextTokenizer, pad
from engines.catalog import ModelSpec
from engines.graph import classifier_graph
from engines.measure import answers_alone, open_session
from engines.model_config import CONFIG_FILE, config_text, model_config, tuned_config
from engines.runtimes import Candidate
from engines.texts import probe_texts
from service.triton.client import TritonClient
from service.triton.server import EmbeddedTriton
from tests.engines.tiny_encoder import LABELS, SHAPE, tiny_head, tiny_rows, tiny_weights
from tests.tiny_models import write_own_card

pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install 'sub50[openvino]'")
pytestmark = pytest.mark.live

ROWS = tiny_rows(24, longest=200)
Ask = Callable[[TritonClient], Awaitable[np.ndarray]]


@pytest.fixture(scope="module")
def both(
    start_triton: Callable[[Path], EmbeddedTriton], tmp_path_factory: pytest.TempPathFactory
) -> EmbeddedTriton:
    """One tiny encoder under two names, `by_onnxruntime` and `by_openvino`."""
    repository = tmp_path_factory.mktemp("both")
    for backend in ("onnxruntime", "openvino"):
        spec = ModelSpec(
            name=f"by_{backend}",
            description="a tiny encoder",
            task="classify",
            output="logits",
            labels=tuple(f"label{number}" for number in range(LABELS)),
            adapter=None,
        )
        folder = repository / spec.name
        (folder / "1").mkdir(parents=True)
        config = model_config(spec)
        if backend == "openvino":
            config = tuned_config(spec, Candidate("openvino", "INT8", 1, 2), overhead_tokens=16)
        (folder / CONFIG_FILE).write_text(config_text(config))
        (folder / "labels.txt").write_text("".join(f"{label}\n" for label in spec.labels))
        graph = classifier_graph(tiny_weights(), SHAPE, *tiny_head())
        onnx.save(graph, folder / "1" / "model.onnx")
        write_own_card(folder / "1")
    return start_triton(repository)


def ask(server: EmbeddedTriton, use: Ask) -> np.ndarray:
    async def run() -> np.ndarray:
        client = TritonClient(server.grpc_target)
        try:
            return await use(client)
        finally:
            await client.close()

    return asyncio.run(run())


async def scores(client: TritonClient, model: str, rows: list[list[int]]) -> np.ndarray:
    return softmax(await client.infer(model, *pad(rows), timeout_ms=20_000, priority=1))


async def alone(client: TritonClient, model: str) -> np.ndarray:
    return np.concatenate([await scores(client, model, [row]) for row in ROWS])


async def at_once(client: TritonClient, model: str) -> np.ndarray:
    pieces = [ROWS[start : start + 3] for start in range(0, len(ROWS), 3)]
    answers = await asyncio.gather(*(scores(client, model, piece) for piece in pieces))
    return np.concatenate(answers)


def test_openvino_answers_like_onnxruntime(both: EmbeddedTriton) -> None:
    expected = ask(both, lambda client: alone(client, "by_onnxruntime"))
    found = ask(both, lambda client: alone(client, "by_openvino"))
    assert np.ptp(expected[:, 0]) > 0.1, "answers that are all alike would show nothing"
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("model", ["by_openvino", "by_onnxruntime"])
def test_mixed_lengths_in_one_request_are_answered_as_alone(
    both: EmbeddedTriton, model: str
) -> None:
    expected = ask(both, lambda client: alone(client, model))
    found = ask(both, lambda client: scores(client, model, ROWS))
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("model", ["by_openvino", "by_onnxruntime"])
def test_mixed_lengths_over_several_requests_are_answered_as_alone(
    both: EmbeddedTriton, model: str
) -> None:
    expected = ask(both, lambda client: alone(client, model))
    found = ask(both, lambda client: at_once(client, model))
    np.testing.assert_allclose(found, expected, atol=2e-3)


BUILT = Path(__file__).resolve().parents[2] / "model_repository" / "sentiment"


@pytest.mark.skipif(
    not (BUILT / "1" / "card.json").is_file(), reason="the sentiment engine has not been built"
)
def test_the_built_engine_holds_still_under_openvino(
    start_triton: Callable[[Path], EmbeddedTriton], tmp_path: Path
) -> None:
    card = read_card(BUILT / "1")
    folder = tmp_path / card.name
    (folder / "1").mkdir(parents=True)
    for name in ("labels.txt", "1/model.onnx", "1/tokenizer.json", "1/card.json"):
        shutil.copy(BUILT / name, folder / name)
    spec = ModelSpec(card.name, "", card.task, card.output, tuple(card.labels), card.adapter)
    config = tuned_config(spec, Candidate("openvino", "INT8", 0, 1), overhead_tokens=16)
    (folder / CONFIG_FILE).write_text(config_text(config))
    server = start_triton(tmp_path)
    tokenizer = TextTokenizer(BUILT / "1" / "tokenizer.json", card.max_tokens)
    rows = [tokens.ids for tokens in tokenizer.encode(probe_texts(12))]
    pieces = [ask(server, lambda client, row=row: scores(client, card.name, [row])) for row in rows]
    by_one = np.concatenate(pieces)
    together = ask(server, lambda client: scores(client, card.name, rows))
    np.testing.assert_allclose(together, by_one, atol=2e-3)
    # The runtimes round differently before INT8 steps, which moves a score by 0.003 on average.
    expected = answers_alone(open_session(BUILT / "1" / "model.onnx"), rows)
    np.testing.assert_allclose(together, expected, atol=0.05)
