"""Quantizing by a scheme of one's choice: what is written, refused, and kept in FP32."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from core.card import read_card
from core.versions import served_folder
from engines import gate
from engines.base import CACHE, SHA256, WEIGHTS_FILE, load_weights
from engines.build_trained import Trained, build_trained
from engines.catalog import CATALOG
from engines.checksums import file_sha256
from engines.errors import DataError, EngineError
from engines.file_material import file_material
from engines.importing import Import, import_checkpoint
from engines.material import Material
from engines.merge import ADAPTER_FILE, CARD_FILE, METADATA_KEY
from engines.promote import promote
from engines.quantize_subject import Source
from engines.quantizing import Quantize, quantize_engine
from engines.texts import SENTENCES as TEXTS
from service.cli import app
from tests.engines.tiny_checkpoints import write_checkpoint
from tests.engines.tiny_summarizer import SENTENCES, document, write_rows

fetched = pytest.mark.skipif(
    not all((CACHE / name).is_file() for name in SHA256),
    reason="the base encoder has not been fetched",
)
LABELS = ["ham", "spam"]
FILES = {"model.onnx", "tokenizer.json", "card.json"}


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base's first two layers under a head of two labels."""
    folder = tmp_path_factory.mktemp("adapters") / "spam"
    folder.mkdir()
    random = np.random.default_rng(0)
    kept = "encoder.layer.1.output.dense.weight"
    tensors = {
        kept: load_weights(CACHE)[kept].astype(np.float16),
        "head.weight": random.normal(0, 0.3, (2, 384)).astype(np.float16),
        "head.bias": np.zeros(2, dtype=np.float16),
    }
    metadata = {"kind": "weights", "layers": 2, "labels": LABELS}
    metadata["base_sha256"] = SHA256[WEIGHTS_FILE]
    save_file(tensors, folder / ADAPTER_FILE, metadata={METADATA_KEY: json.dumps(metadata)})
    record = {"labels": LABELS, "adapter_sha256": file_sha256(folder / ADAPTER_FILE)}
    (folder / CARD_FILE).write_text(json.dumps(record))
    return folder


def source(adapter: Path, tmp_path: Path, data: Path | None = None) -> Source:
    return Source(str(adapter), None, data, tmp_path / "repository", CACHE)


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are measured as ever, but on texts that take none."""
    monkeypatch.setattr("engines.quantizing.TIMED_SHAPES", ((1, 8), (2, 16)))
    monkeypatch.setattr("engines.quantizing.SECONDS_A_SHAPE", 0.0)
    monkeypatch.setattr("engines.timing.TIMED_SHAPES", ((1, 8),))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty short texts: ten set scales, thirty measure."""
    # One label of thirty that changes under a random head is three points already.
    monkeypatch.setattr(gate, "LARGEST_ACCURACY_DROP", 1.0)
    path = tmp_path / "mails.csv"
    texts = [text.replace('"', "'") for text in TEXTS[:40]]
    lines = [f'"{text}",{LABELS[n % 2]}' for n, text in enumerate(texts)]
    path.write_text("text,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


@fetched
def test_a_version_that_can_be_promoted(adapter: Path, tmp_path: Path, data: Path) -> None:
    trained = Trained(adapter, "spam", "Whether a message is spam.")
    material = Material(TEXTS[:24], TEXTS[24:48], {})
    build_trained(trained, tmp_path / "repository", material, CACHE)
    out = tmp_path / "made"
    found = quantize_engine(Quantize(source(adapter, tmp_path, data), "per-token", out=out))
    assert found.card == read_card(out)
    assert found.card is not None
    assert {path.name for path in out.iterdir()} == FILES
    assert (found.card.name, found.card.version) == ("spam", "2")
    assert found.card.description == "Whether a message is spam."
    assert "scale per token" in found.card.scheme
    assert [(each.data, each.rows) for each in found.card.accuracy] == [("mails.csv", 30)]
    (tried,) = found.tried
    assert tried.attempt.findings.drift == found.card.drift
    assert tried.times is not None
    assert set(tried.times) == {"1x8", "2x16"}
    promoted = promote("spam", str(out), tmp_path / "repository")
    assert promoted["version"] == "2"
    assert served_folder(tmp_path / "repository" / "spam") == tmp_path / "repository/spam/2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "mails.csv", "repository"]


@fetched
def test_the_dynamic_scheme_is_measured_refused_and_not_written(
    adapter: Path, tmp_path: Path, data: Path
) -> None:
    arguments = [str(adapter), "--scheme", "dynamic", "--out", str(tmp_path / "made")]
    arguments += ["--base", str(CACHE), "--data", str(data)]
    done = CliRunner().invoke(app, ["engines", "quantize", *arguments, "--json"])
    assert done.exit_code == 1
    result = json.loads(done.stdout)
    assert not result["passed"]
    assert result["card"] is None
    assert "batch-mates" in result["reasons"][0]
    assert result["tried"][0]["invariance"]["largest_change"] > gate.INVARIANCE_LIMIT
    assert result["layers_kept_in_fp32"] == []
    assert [path.name for path in tmp_path.iterdir()] == [data.name]
    told = CliRunner().invoke(app, ["engines", "quantize", *arguments])
    assert "dynamic is refused: answers move by" in told.stderr
    assert "Nothing was written" in told.stderr


@fetched
def test_layers_stay_in_fp32_until_the_gate_passes(
    adapter: Path, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, out = source(adapter, tmp_path, data), tmp_path / "made"
    plain = quantize_engine(Quantize(mine, "static", compare=True, out=out))
    assert plain.kept == ()
    by_scheme = {each.scheme: each.attempt.findings for each in plain.tried}
    assert set(by_scheme) == {"static", "mixed", "smoothed", "per-token", "blocks", "dynamic"}
    change = by_scheme["static"].drift.mean_change
    assert by_scheme["mixed"].drift.mean_change < change

    monkeypatch.setattr(gate, "LARGEST_MEAN_CHANGE", 0.7 * change)
    helped = quantize_engine(Quantize(mine, "static", out=out))
    assert helped.card is not None
    assert helped.card.drift.mean_change <= 0.7 * change
    assert 1 <= len(helped.kept) <= helped.layers // 2
    kept = [each.attempt.kept for each in helped.tried]
    assert kept == sorted(kept)
    assert kept[0] == 0
    assert kept[-1] == len(helped.kept)
    assert helped.tried[0].times is None
    assert helped.kept[0] in helped.card.scheme_notes[0]
    assert read_card(out) == helped.card  # took the place of the one before

    refused = quantize_engine(Quantize(mine, "dynamic", out=out))
    assert refused.card is None
    assert read_card(out) == helped.card


@fetched
def test_what_cannot_be_quantized_is_said_and_nothing_written(
    adapter: Path, tmp_path: Path, data: Path
) -> None:
    def fails(match: str, asked: Source, out: Path | None = None, scheme: str = "mixed") -> None:
        with pytest.raises(EngineError, match=match):
            quantize_engine(Quantize(asked, scheme, out=out or tmp_path / "made"))
        assert not (tmp_path / "made").exists()

    mine = source(adapter, tmp_path)
    fails("--scheme int4", mine, scheme="int4")
    fails("lies in the repository", mine, out=tmp_path / "repository" / "spam" / "2")
    fails("exists and is no engine", mine, out=data)
    fails("nothing to quantize at nowhere", Source("nowhere", None, None, mine.repository))
    fails("keeps its name", Source("topics", "other", None, mine.repository, CACHE))
    fails("is a folder; name one file", source(adapter, tmp_path, tmp_path))
    data.write_text(data.read_text().replace(",spam", ",eggs", 1))
    fails(r"mails\.csv:3: field 'label' is 'eggs'", source(adapter, tmp_path, data))


def test_a_summarizers_texts_are_sentences_of_documents(tmp_path: Path) -> None:
    texts = [f"{document(0, 3, 5)} Clause {n} binds both parties." for n in range(40)]
    path = write_rows(tmp_path / "contracts.jsonl", [{"text": text} for text in texts])
    found = file_material(CATALOG["contracts"], path)
    assert len(found.calibration) == 43 // 4
    assert not set(found.calibration) & set(found.probes)
    assert len([*found.calibration, *found.probes]) == 43
    assert found.labelled == {}
    few = write_rows(tmp_path / "few.jsonl", [{"text": SENTENCES[0]}])
    with pytest.raises(DataError, match="has 1 different sentences"):
        file_material(CATALOG["contracts"], few)
    blank = write_rows(tmp_path / "blank.jsonl", [{"text": SENTENCES[0]}, {"text": " "}])
    with pytest.raises(DataError, match=":2: field 'text'"):
        file_material(CATALOG["contracts"], blank)


@pytest.mark.train
def test_a_checkpoint_and_what_was_imported_of_it(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the training side is not installed")
    folder = write_checkpoint(tmp_path / "mine", "BertForSequenceClassification")
    repository = tmp_path / "repository"
    import_checkpoint(Import(str(folder), "theirs", ("a", "b", "c")), repository)
    for named, name, labels in ((str(folder), "mine", None), ("theirs", "theirs", ["a", "b", "c"])):
        asked = Source(named, None, None, repository)
        found = quantize_engine(Quantize(asked, "smoothed", out=tmp_path / name / "made"))
        assert found.card is not None
        assert found.card.name == name
        assert labels is None or found.card.labels == labels
        assert found.card.imported is not None
    assert found.card is not None
    assert found.card.version == "2"
    assert promote("theirs", str(tmp_path / "theirs" / "made"), repository)["version"] == "2"
