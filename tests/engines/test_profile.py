"""`sub50 engines profile` on real engines of random weights, as their runtimes see them run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from core.card import ENGINE_FILE, Tuning, read_card, write_card
from core.tokenizer import TextTokenizer
from engines.checksums import file_sha256
from engines.profile_record import Profile
from engines.profile_texts import calls_of_length
from engines.runtimes import has_openvino
from service.cli import app
from tests.engines.tiny_encoder import SHAPE
from tests.engines.tiny_summarizer import write_summarizer
from tests.tiny import write_tokenizer

runner = CliRunner()
with_openvino = pytest.mark.skipif(not has_openvino(), reason="OpenVINO is not installed")
LAYER_NORMS = 1 + 2 * SHAPE.layers


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a tiny encoder."""
    repository = tmp_path_factory.mktemp("repository")
    write_summarizer(repository, "tiny")
    return repository


def profile(repository: Path, *options: str) -> tuple[int, str, str]:
    arguments = ["engines", "profile", *options, "--repository", str(repository), "--json"]
    done = runner.invoke(app, arguments)
    return done.exit_code, done.stdout, done.stderr


def profiled(repository: Path, page: Path, *options: str) -> tuple[Profile, str]:
    code, output, errors = profile(repository, *options, "--html", str(page))
    assert code == 0, errors
    return Profile.model_validate(json.loads(output)), errors


def adds_up(found: Profile) -> None:
    for parts in (found.parts, found.inside):
        assert sum(part.share for part in parts) == pytest.approx(1)
    assert sum(part.ms for part in found.inside) == pytest.approx(found.profiled_ms, rel=0.02)
    operators = next(part.ms for part in found.inside if part.name == "operators")
    assert sum(total.ms for total in found.operators) == pytest.approx(operators, rel=1e-6)
    assert sum(total.share for total in found.operators) <= 1


def test_the_served_engine_by_operator_and_node(repository: Path, tmp_path: Path) -> None:
    page = tmp_path / "deep" / "profile.html"
    options = ("--batch", "2", "--tokens", "40", "--runs", "20")
    found, errors = profiled(repository, page, "tiny", *options)
    assert (found.what, found.model, found.version) == ("call", "tiny", "1")
    assert (found.texts, found.tokens, found.padding_share) == (2, 40, 0)
    assert found.rounds >= 18
    assert found.runs_per_call == 1
    adds_up(found)
    calls = {total.name: total.calls for total in found.operators}
    norms = calls.get("LayerNormalization", 0) + calls.get("SkipLayerNormalization", 0)
    assert norms == LAYER_NORMS
    assert any(total.group == "products, float" for total in found.operators)
    assert {total.group for total in found.nodes} <= set(calls)
    assert found.gpu is None
    assert "Written:" in errors
    text = page.read_text()
    assert "<svg" in text
    assert "<script" not in text
    assert f"<td>{found.operators[0].name}</td>" in text
    for advice in found.advice:
        assert advice.advice in text.replace("&#39;", "'")


def test_the_node_that_takes_the_time_is_found(tmp_path: Path) -> None:
    """A product of 600 by 600 was put into the graph: 200 million multiplications a call."""
    version = write_summarizer(tmp_path, "heavy")
    model = onnx.load(version / ENGINE_FILE)
    (output,) = model.graph.output
    last = next(node for node in model.graph.node if output.name in node.output)
    last.output[0] = "before"
    ones = np.ones((600, 600), dtype=np.float32)
    model.graph.initializer.append(numpy_helper.from_array(ones, "ones"))
    model.graph.initializer.append(helper.make_tensor("none", TensorProto.FLOAT, [], [0.0]))
    model.graph.initializer.append(helper.make_tensor("all", TensorProto.INT64, [2], [0, 1]))
    model.graph.node.extend(
        [
            # Only what the inputs decide is not worked out while the graph is loaded.
            helper.make_node("ReduceSum", ["before", "all"], ["sum"], keepdims=0),
            helper.make_node("Mul", ["sum", "none"], ["zero"]),
            helper.make_node("Add", ["ones", "zero"], ["table"]),
            helper.make_node("MatMul", ["table", "table"], ["product"], name="the_heavy_one"),
            helper.make_node("ReduceMean", ["product", "all"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "none"], ["nothing"]),
            helper.make_node("Add", ["before", "nothing"], [output.name]),
        ]
    )
    onnx.save(model, version / ENGINE_FILE)
    found, _ = profiled(tmp_path, tmp_path / "page.html", str(version), "--runs", "5")
    assert found.nodes[0].name == "the_heavy_one"
    assert found.nodes[0].share > 0.3


def test_texts_of_a_file_are_cut_into_runs_as_the_server_cuts(
    repository: Path, tmp_path: Path
) -> None:
    texts = tmp_path / "texts.csv"
    texts.write_text("text\n" + "good film\n" * 3 + "bad " * 300 + "\n")
    page = tmp_path / "page.html"
    options = ("--texts", str(texts), "--batch", "4", "--runs", "6")
    found, _ = profiled(repository, page, "tiny", *options)
    assert found.source == str(texts)
    # 302 tokens and three texts of 4: the long one alone fits into a run of 512.
    assert found.runs_per_call == 2
    assert found.tokens == pytest.approx((302 + 3 * 4) / 4)
    assert found.padding_share == 0
    calls = {total.name: total.calls for total in found.operators}
    norms = calls.get("LayerNormalization", 0) + calls.get("SkipLayerNormalization", 0)
    assert norms == 2 * LAYER_NORMS
    assert "cut into 2.0 runs" in page.read_text()


@with_openvino
def test_an_engine_tuned_for_openvino_is_counted_by_openvino(tmp_path: Path) -> None:
    version = write_summarizer(tmp_path, "tiny")
    tuning = Tuning(
        backend="openvino",
        precision="INT8",
        threads=1,
        instances=1,
        engine_sha256=file_sha256(version / ENGINE_FILE),
        line_overhead_ms=1,
        line_ms_per_token=1,
        machine="none",
        tuned_at="never",
    )
    write_card(read_card(version).model_copy(update={"tuning": tuning}), version)
    page = tmp_path / "page.html"
    # Long enough that no layer norm takes less than a microsecond, and so nothing to OpenVINO.
    found, _ = profiled(tmp_path, page, "tiny", "--tokens", "400", "--runs", "20")
    assert found.runs_on == "openvino INT8"
    # Run at the next length that it was warmed up for.
    assert found.padding_share == pytest.approx(1 - 400 / 512)
    adds_up(found)
    assert sum(total.calls for total in found.operators if total.name == "MVN") == LAYER_NORMS
    assert "one after the other" in page.read_text()


def test_texts_of_a_length_have_exactly_it(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "tokenizer.json")
    calls = calls_of_length(tmp_path / "tokenizer.json", batch=3, tokens=33, most_tokens=512)
    (batch,) = calls.batches
    assert len(set(batch)) == 3
    assert [len(tokens.ids) for tokens in calls.tokenizer.encode(batch)] == [33] * 3
    uncut = TextTokenizer(tmp_path / "tokenizer.json").encode(batch)
    # No word more than it takes: the time of tokenizing is that of such a text.
    assert all(33 <= len(tokens.ids) < 33 + 20 for tokens in uncut)


def test_what_is_wrong_is_named_and_nothing_is_written(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blank = tmp_path / "blank.csv"
    blank.write_text('text\ngood\n""\n')
    config = tmp_path / "model" / "config.pbtxt"
    config.parent.mkdir()
    config.write_text("")
    page = str(tmp_path / "page.html")
    cases: list[tuple[tuple[str, ...], str]] = [
        (("nonsense",), "no engine nonsense"),
        (("tiny", "--version", "9"), "versions there: 1"),
        (("tiny", "--tokens", "40", "--texts", str(blank)), "leave out --tokens"),
        (("tiny", "--texts", str(tmp_path / "no.csv")), "there is no such file"),
        (("tiny", "--texts", str(blank)), "blank.csv:3: field 'text'"),
        (("tiny", "--training"), "no adapter that was trained here"),
        (("tiny", "--training", "--batch", "2"), "--batch and --tokens are for calls"),
        (("tiny", "--html", str(tmp_path)), "is a folder; name a file"),
        (("tiny", "--html", str(config.parent / "page.html")), "lies inside a model"),
        (("tiny", "--html", f"{blank}/page.html"), "no folder that can be written to"),
    ]
    for options, said in cases:
        given = () if "--html" in options else ("--html", page)
        code, output, errors = profile(repository, *options, *given)
        assert (code, output, said in errors) == (1, "", True), errors
        assert "Traceback" not in errors
    monkeypatch.setitem(sys.modules, "jinja2", None)
    code, _, errors = profile(repository, "tiny", "--html", page)
    assert (code, "sub50[evaluate]" in errors) == (1, True)
    assert not Path(page).exists()


def test_without_what_makes_pages_the_terminal_has_it(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.chdir(tmp_path)
    code, _, errors = profile(repository, "tiny", "--runs", "3")
    assert code == 0
    assert "between operators" in errors
    assert "No page" in errors
    assert list(tmp_path.iterdir()) == []


def test_without_pytorch_training_says_what_brings_it(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = write_summarizer(tmp_path, "trained")
    recipe: dict[str, Any] = {"epochs": 1, "max_tokens": 64}
    trained = read_card(version).model_copy(update={"training": {"recipe": recipe}})
    write_card(trained, version)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "engines.network", raising=False)
    monkeypatch.delitem(sys.modules, "engines.profile_training", raising=False)
    code, _, errors = profile(tmp_path, "trained", "--training", "--html", str(tmp_path / "p.html"))
    assert (code, "sub50[train]" in errors) == (1, True)
