"""An imported model as users serve it: `sub50 engines import`, then `sub50 serve`."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.card import ENGINE_FILE, TOKENIZER_FILE, read_card
from core.tokenizer import TextTokenizer, pad
from engines.measure import feed, open_session
from tests.deploy.running import free_port
from tests.engines.tiny_checkpoints import LABELS, write_checkpoint
from tests.live.test_stack import ROOT, SUB50, Stack

pytest.importorskip("torch", reason="the training side is not installed; run `make setup-train`")
pytestmark = [pytest.mark.live, pytest.mark.train]

SENTENCEPIECE = ROOT / "tests/engines/sentencepiece_models/sentencepiece.bpe.model"
TEXTS = ["the good film", "a bad contract, and a term of 7 good letters."]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two imported models: one that chooses a label, whose tokenizer is a SentencePiece model, and
    one that gives a value."""
    folder = tmp_path_factory.mktemp("imported")
    write_checkpoint(folder / "labels", "XLMRobertaForSequenceClassification", vocab_size=141)
    (folder / "labels" / TOKENIZER_FILE).unlink()
    shutil.copyfile(SENTENCEPIECE, folder / "labels" / SENTENCEPIECE.name)
    write_checkpoint(folder / "value", "ModernBertForSequenceClassification", ("stars",))
    for name in ("labels", "value"):
        command = [SUB50, "engines", "import", folder / name, "--name", name, "--json"]
        command += ["--repository", folder / "repository"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["name"] == name
    return folder / "repository"


@pytest.fixture(scope="module")
def stack(repository: Path) -> Iterator[Stack]:
    running = Stack(free_port(), "--repository", str(repository))
    running.wait_until_ready()
    yield running
    running.end()


def test_the_service_answers_as_the_engine_does(stack: Stack, repository: Path) -> None:
    for name in ("labels", "value"):
        version = repository / name / "1"
        card = read_card(version)
        tokens = TextTokenizer(version / TOKENIZER_FILE, card.max_tokens).encode(TEXTS)
        session = open_session(version / ENGINE_FILE)
        expected = session.run(None, feed(*pad([row.ids for row in tokens])))[0]
        body = {"input": TEXTS, "model": name, "raw_scores": True}
        results = stack.post("/v1/classify", body)["results"]
        for result, logits in zip(results, expected, strict=True):
            scores = {item["label"]: item["score"] for item in result["scores"]}
            found = [scores[label] for label in card.labels]
            assert found == pytest.approx(logits.tolist(), abs=1e-4)


def test_a_label_and_a_value(stack: Stack) -> None:
    (label,) = stack.post("/v1/classify", {"input": TEXTS[0], "model": "labels"})["results"]
    assert {item["label"] for item in label["scores"]} == set(LABELS)
    assert sum(item["score"] for item in label["scores"]) == pytest.approx(1, abs=1e-4)
    plain, raw = (
        stack.post("/v1/classify", {"input": TEXTS[0], "model": "value", "raw_scores": raw})
        for raw in (False, True)
    )
    assert plain == raw
    (result,) = plain["results"]
    assert result["label"] == "stars"
    ((row,),) = stack.post("/hf/value", {"inputs": TEXTS[:1]})
    assert row == {"label": "stars", "score": result["score"]}


def test_the_card_says_where_it_came_from(stack: Stack) -> None:
    card = json.loads(stack.get("/v1/models/labels"))
    assert card["imported"]["architecture"] == "XLMRobertaForSequenceClassification"
    (note,) = card["imported"]["notes"]
    assert note.startswith(f"{TOKENIZER_FILE} is made from {SENTENCEPIECE.name} (SHA-256 ")
    assert card["gate"]["passed"]
