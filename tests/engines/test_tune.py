from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from core.card import ENGINE_FILE, Verdict, read_card
from core.gpu import Gpu
from core.tokenizer import TextTokenizer
from core.versions import Served, promotion_lock, write_served
from engines.catalog import CATALOG, ModelSpec
from engines.checksums import file_sha256
from engines.errors import EngineError
from engines.examiner import Examiner
from engines.graph import classifier_graph
from engines.hardware import hardware
from engines.material import default_material
from engines.model_config import CONFIG_FILE, is_tuned, read_config, write_model_files
from engines.promote import rollback
from engines.runtimes import GPU_FILE, REFERENCE_FILE, Candidate, open_engine
from engines.tune import reset_engines, tune_engines
from engines.tune_apply import apply
from engines.tune_choice import Choice
from engines.tune_gate import judged
from engines.tune_lengths import cut_lengths, parse_lengths
from engines.tune_measure import BATCHES, Measurement, Point, measure
from engines.tune_report import Tuned, check_plot, table, write_plot
from engines.tune_subject import subjects
from engines.tune_unmeasured import NO_GPU
from tests.engines.tiny_encoder import LABELS, SHAPE, tiny_head, tiny_weights
from tests.tiny import card, write_model, write_tokenizer, write_version

SPEC = CATALOG["sentiment"]
INT8 = Candidate("onnxruntime", "INT8", 2, 1)
BF16 = Candidate("openvino", "BF16", 1, 2)
ON_GPU = Candidate("onnxruntime", "FP16", 1, 1)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    write_model(tmp_path, card(SPEC.name, precision="INT8"))
    write_model_files(SPEC, tmp_path)
    return tmp_path


def tuned_to(winner: Candidate) -> Tuned:
    points = [Point(batch, 100.0 * batch, 5.0, 9.0 * batch, 50) for batch in BATCHES]
    measurements = [Measurement(candidate, points) for candidate in (INT8, BF16)]
    verdict = {INT8: Verdict(passed=True, reasons=[]), BF16: Verdict(passed=True, reasons=[])}
    verdict[INT8 if winner == BF16 else BF16] = Verdict(passed=False, reasons=["labels flip"])
    return Tuned(SPEC.name, "1", "25:1", measurements, verdict, winner, 1.5, 0.06)


def applied(repository: Path, winner: Candidate) -> Path:
    reference = repository / "reference.onnx"
    reference.write_bytes(b"fp32")
    (subject,) = subjects([SPEC.name], repository)
    apply(tuned_to(winner), subject, reference)
    return repository / SPEC.name


def test_the_winner_is_what_triton_and_the_service_read(repository: Path) -> None:
    folder = applied(repository, BF16)
    config = read_config(folder / CONFIG_FILE)
    values = {key: entry.string_value for key, entry in config.parameters.items()}
    assert (config.backend, config.default_model_filename) == ("openvino", REFERENCE_FILE)
    assert config.instance_group[0].count == 2
    assert values["INFERENCE_NUM_THREADS"] == "1"
    assert values["INFERENCE_PRECISION_HINT"] == "bf16"
    assert values["run_overhead_tokens"] == "25"
    assert "intra_op_thread_count" not in values
    assert (folder / "1" / REFERENCE_FILE).read_bytes() == b"fp32"
    assert (folder / "1" / ENGINE_FILE).is_file()
    found = read_card(folder / "1")
    assert (found.backend, found.precision) == ("openvino", "BF16")
    assert found.tuning is not None
    assert found.tuning.hardware == hardware()
    assert (found.tuning.instances, found.tuning.threads) == (2, 1)
    assert (found.tuning.line_overhead_ms, found.tuning.line_ms_per_token) == (1.5, 0.06)
    assert found.tuning.engine_file == REFERENCE_FILE
    assert found.tuning.engine_sha256 == file_sha256(folder / "1" / REFERENCE_FILE)
    assert [entry["precision"] for entry in found.tuning.candidates] == ["INT8", "BF16"]


def test_a_winner_on_a_gpu_has_its_graph_and_says_which_gpu(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = Gpu("NVIDIA L4", "8.9", "580.65.06", 23034 * 2**20, 2**20)
    monkeypatch.setattr("engines.tune_apply.cuda_gpu", lambda: gpu)
    made = repository / "made.onnx"
    made.write_bytes(b"fp16")
    (subject,) = subjects([SPEC.name], repository)
    points = [Point(batch, 900.0 * batch, 1.0, 2.0, 50) for batch in BATCHES]
    tuned = replace(
        tuned_to(INT8),
        measurements=[*tuned_to(INT8).measurements, Measurement(ON_GPU, points)],
        verdicts={**tuned_to(INT8).verdicts, ON_GPU: Verdict(passed=True, reasons=[])},
        winner=ON_GPU,
        gpu="NVIDIA L4 (compute capability 8.9, driver 580.65.06)",
    )
    apply(tuned, subject, made)
    folder = repository / SPEC.name
    config = read_config(folder / CONFIG_FILE)
    assert (config.backend, config.default_model_filename) == ("onnxruntime", GPU_FILE)
    assert (folder / "1" / GPU_FILE).read_bytes() == b"fp16"
    tuning = read_card(folder / "1").tuning
    assert tuning is not None
    assert tuning.machine.startswith("NVIDIA L4 (compute capability 8.9, driver 580.65.06); ")
    assert tuning.hardware == hardware(gpu)
    assert [entry.get("gpu") for entry in tuning.candidates] == [None, None, tuned.gpu]
    assert "cuda FP16 1x1" in list(table(tuned).columns[0].cells)[-1]
    monkeypatch.setattr("engines.tune_apply.cuda_gpu", lambda: None)
    apply(replace(tuned, gpu=NO_GPU), subject, made)
    unmeasured = read_card(folder / "1").tuning
    assert unmeasured is not None
    assert unmeasured.hardware is None
    applied(repository, BF16)
    assert not (folder / "1" / GPU_FILE).exists()
    assert (folder / "1" / REFERENCE_FILE).is_file()


def test_a_tuned_file_says_how_to_go_back_and_so_it_goes(repository: Path) -> None:
    before = (repository / SPEC.name / CONFIG_FILE).read_text()
    built = read_card(repository / SPEC.name / "1")
    folder = applied(repository, BF16)
    first = (folder / CONFIG_FILE).read_text().splitlines()[0]
    assert first.endswith("go back with `sub50 engines tune sentiment --reset`.")
    assert is_tuned(folder / CONFIG_FILE)
    reset_engines([SPEC.name], repository)
    assert (folder / CONFIG_FILE).read_text() == before
    assert not is_tuned(folder / CONFIG_FILE)
    assert not (folder / "1" / REFERENCE_FILE).exists()
    assert read_card(folder / "1") == built.model_copy(update={"precision": "INT8"})


def test_an_int8_winner_leaves_no_unquantized_file(repository: Path) -> None:
    applied(repository, BF16)
    folder = applied(repository, INT8)
    assert not (folder / "1" / REFERENCE_FILE).exists()
    config = read_config(folder / CONFIG_FILE)
    assert (config.backend, config.default_model_filename) == ("onnxruntime", ENGINE_FILE)
    assert config.parameters["intra_op_thread_count"].string_value == "2"


def test_an_engine_that_is_not_built_is_named_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="sub50 engines build sentiment"):
        tune_engines(["sentiment"], tmp_path, Choice())
    with pytest.raises(EngineError, match="unknown model nonsense"):
        reset_engines(["nonsense"], tmp_path)


def test_lengths_are_tokens_and_weights() -> None:
    assert parse_lengths("25:0.7,128:0.3") == [(25, 0.7), (128, 0.3)]
    assert parse_lengths("64") == [(64, 1.0)]


def test_texts_are_measured_as_the_model_cuts_them() -> None:
    assert cut_lengths([(25, 0.7), (512, 0.3)], 128) == [(25, 0.7), (128, 0.3)]


@pytest.mark.parametrize("text", ["", "a:1", "25:x", "25:0", "25:nan", "0:1", "513", "25:0.7,"])
def test_wrong_lengths_are_refused(text: str) -> None:
    with pytest.raises(EngineError, match="--lengths"):
        parse_lengths(text)


def test_table_and_plot_show_every_candidate(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    tuned = tuned_to(INT8)
    rows = list(table(tuned).columns[0].cells)
    assert rows[0] == "→ onnxruntime INT8 2x1\ngate: pass"
    assert rows[1] == "openvino BF16 1x2\nrefused: labels flip"
    path = tmp_path / "plot.svg"
    check_plot(path)
    write_plot([tuned, tuned], path)
    assert path.read_text().startswith("<?xml")
    for wrong, reason in ((tmp_path / "plot.txt", "must end in"), (tmp_path / "no/p.svg", "no fo")):
        with pytest.raises(EngineError, match=reason):
            check_plot(wrong)
    assert json.loads(json.dumps(tuned.as_dict()))["winner"]["precision"] == "INT8"


@pytest.fixture
def engines(tmp_path: Path) -> Path:
    """A folder with one tiny encoder as the unquantized graph, and another as the INT8 engine."""
    for name, seed in ((REFERENCE_FILE, 0), (ENGINE_FILE, 9)):
        graph = classifier_graph(tiny_weights(seed), SHAPE, *tiny_head())
        onnx.save(graph, tmp_path / name)
    write_tokenizer(tmp_path / "tokenizer.json")
    return tmp_path


def test_candidates_are_measured_in_processes_of_their_own(engines: Path) -> None:
    ways = [Candidate("onnxruntime", "FP32", 1, 2), Candidate("onnxruntime", "INT8", 1, 1)]
    found = measure(ways, engines, [(20, 0.5), (100, 0.5)], seconds=0.06)
    assert [each.candidate for each in found] == ways
    for each in found:
        assert [point.batch for point in each.points] == list(BATCHES)
        assert all(0 < point.p50_ms <= point.p99_ms for point in each.points)
        assert all(point.calls >= 3 * each.candidate.instances for point in each.points)
        # 8 texts of 100 tokens are cut in two, as the backends do.
        assert max(tokens for tokens, _ in each.runs) == 500


def test_an_engine_that_cannot_be_run_is_named(engines: Path) -> None:
    (engines / ENGINE_FILE).write_bytes(b"not a graph")
    with pytest.raises(EngineError, match="onnxruntime INT8 1x1 cannot be measured"):
        measure([Candidate("onnxruntime", "INT8", 1, 1)], engines, [(20, 1.0)], seconds=0.1)


def test_the_gate_asks_each_runtime_and_precision(engines: Path) -> None:
    spec = ModelSpec("tiny", "", "classify", "logits", ("a", "b", "c")[:LABELS], None)
    tokenizer = TextTokenizer(engines / "tokenizer.json")
    reference = open_engine(engines / REFERENCE_FILE, "onnxruntime", "FP32")
    same = Candidate("onnxruntime", "FP32", 1, 1)
    other = Candidate("onnxruntime", "INT8", 1, 1)
    examiner = Examiner(spec.output, tokenizer, reference, default_material(spec, None))
    found = judged([same, other], engines, examiner).verdicts
    assert found[same].passed
    assert "against the unquantized graph" in found[other].reasons[0]


def test_a_runtime_that_cannot_run_an_engine_is_left_out_and_said(engines: Path) -> None:
    graph = onnx.load(engines / ENGINE_FILE)
    next(node for node in graph.graph.node if node.op_type == "Gelu").domain = "of.nobody"
    graph.opset_import.append(onnx.helper.make_opsetid("of.nobody", 1))
    onnx.save(graph, engines / ENGINE_FILE)
    tokenizer = TextTokenizer(engines / "tokenizer.json")
    reference = open_engine(engines / REFERENCE_FILE, "onnxruntime", "FP32")
    spec = ModelSpec("tiny", "", "classify", "logits", ("a", "b", "c")[:LABELS], None)
    examiner = Examiner(spec.output, tokenizer, reference, default_material(spec, None))
    fp32 = Candidate("onnxruntime", "FP32", 1, 1)
    int8 = [Candidate("onnxruntime", "INT8", 1, n) for n in (1, 2)]
    found = judged([fp32, *int8], engines, examiner)
    assert list(found.verdicts) == [fp32]
    (line,) = found.left_out
    assert line.startswith("onnxruntime INT8 is left out, it cannot run this engine: ")
    assert "of.nobody" in line
    with pytest.raises(EngineError, match=r"of\.nobody"):
        judged(int8, engines, examiner)


def second_version(repository: Path) -> Path:
    """Version 2 beside version 1, and served, as a promotion leaves it."""
    version = repository / SPEC.name / "2"
    write_version(version, card(SPEC.name, version="2", precision="INT8"))
    write_served(repository / SPEC.name, Served(version="2", previous=("1",)))
    return version


def test_a_promoted_version_is_tuned_and_the_one_before_keeps_no_tuning(repository: Path) -> None:
    folder = applied(repository, BF16)
    second_version(repository)
    (subject,) = subjects([SPEC.name], repository)
    apply(tuned_to(INT8), subject, folder / "1" / REFERENCE_FILE)
    assert read_card(folder / "2").tuning is not None
    before = read_card(folder / "1")
    assert (before.backend, before.precision, before.tuning) == ("onnxruntime", "INT8", None)
    assert not (folder / "1" / REFERENCE_FILE).exists()
    reset_engines([SPEC.name], repository)
    assert read_card(folder / "2").tuning is None
    assert not is_tuned(folder / CONFIG_FILE)


def test_a_version_with_the_same_kind_of_file_can_still_be_rolled_back_to(repository: Path) -> None:
    folder = applied(repository, BF16)
    second_version(repository)
    (subject,) = subjects([SPEC.name], repository)
    fp32 = Candidate("onnxruntime", "FP32", 1, 2)
    apply(replace(tuned_to(BF16), winner=fp32), subject, folder / "1" / REFERENCE_FILE)
    before = read_card(folder / "1")
    assert (before.backend, before.precision) == ("onnxruntime", "FP32")
    assert before.tuning is not None
    assert (before.tuning.engine_file, before.tuning.instances) == (REFERENCE_FILE, 2)
    assert rollback(SPEC.name, repository)["version"] == "1"
    reset_engines([SPEC.name], repository)
    for version in ("1", "2"):
        assert read_card(folder / version).tuning is None
        assert not (folder / version / REFERENCE_FILE).exists()


def test_a_promotion_meanwhile_leaves_all_as_it_is(repository: Path) -> None:
    (subject,) = subjects([SPEC.name], repository)
    before = (repository / SPEC.name / CONFIG_FILE).read_text()
    version = second_version(repository)
    with pytest.raises(EngineError, match="version 2 of sentiment is served by now"):
        apply(tuned_to(INT8), subject, version)
    with promotion_lock(repository / SPEC.name), pytest.raises(EngineError, match="nothing was wr"):
        reset_engines([SPEC.name], repository)
    assert (repository / SPEC.name / CONFIG_FILE).read_text() == before
    assert read_card(subject.folder).tuning is None
