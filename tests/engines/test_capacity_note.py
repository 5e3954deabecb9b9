"""What a load test found, on the engine's card; and what of it is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from core.card import read_card, write_card
from core.checksums import file_sha256
from core.gpu import Gpu
from core.versions import promotion_lock
from engines.capacity_note import note_capacity
from engines.cost_figures import figures_of
from engines.errors import EngineError
from engines.evaluated_engine import as_served
from engines.hardware import hardware
from engines.runtimes import GPU_FILE
from loadtest.capacity import Capacity, find_capacity
from loadtest.plan import Plan
from service.cli import app
from tests.loadtest.hand_made import hand_made_verdict
from tests.tiny import card, write_model
from tests.tiny_models import tuned

runner = CliRunner()
HERE = "http://127.0.0.1:41234"


def found(capacity_rate: float, plan: Plan) -> Capacity:
    """What the search finds of a service that holds up to a rate."""

    def run(rate: float) -> Any:
        return hand_made_verdict("FAIL", late=500) if rate > capacity_rate else PASSED

    return find_capacity(run, plan.rate_per_second)


PASSED = hand_made_verdict("PASS")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in ("sentiment", "topics"):
        write_model(tmp_path / "models", card(name, precision="INT8"))
    return tmp_path / "models"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """What `sub50 loadtest capacity --json` prints of a service of 343 sentences/s."""
    plan = Plan(host=HERE, texts="sentence", rate_per_second=50.0)
    path = tmp_path / "capacity.json"
    path.write_text(json.dumps({**plan.asked(), **found(343, plan).as_dict()}))
    return path


def test_a_rate_is_noted_with_all_that_tells_of_it(repository: Path, file: Path) -> None:
    arguments = ["note-capacity", "sentiment", str(file), "--repository", str(repository)]
    done = runner.invoke(app, ["engines", *arguments, "--json"])
    assert done.exit_code == 0, done.output
    noted = read_card(repository / "sentiment" / "1")
    (capacity,) = noted.capacities
    assert json.loads(done.stdout) == capacity.model_dump(mode="json")
    assert 343 / 1.05 <= capacity.requests_per_second <= 343
    assert (capacity.p99_ms, capacity.budget_ms, capacity.limited_by) == (12.0, 50.0, "service")
    assert (capacity.texts, capacity.models) == ("sentence", ["sentiment"])
    assert capacity.hardware == hardware()
    assert capacity.way == as_served(noted).label
    (figure,), lacking = figures_of(noted)
    assert (figure.basis, figure.per_second) == ("http", capacity.requests_per_second)
    assert not figure.at_least
    assert (figure.texts, figure.hardware) == ("sentence to sentiment", hardware())
    assert lacking == []


def test_the_same_texts_are_noted_once(repository: Path, file: Path) -> None:
    note_capacity("sentiment", file, repository)
    values = json.loads(file.read_text())
    file.write_text(json.dumps(values | {"texts": "review"}))
    note_capacity("sentiment", file, repository)
    values["rate_per_second"] = values["probes"][0]["rate_per_second"]
    file.write_text(json.dumps(values))
    noted = note_capacity("sentiment@1", file, repository)
    assert [each.texts for each in noted.capacities] == ["review", "sentence"]
    assert noted.capacities[1].requests_per_second == 50.0
    assert read_card(repository / "sentiment" / "1") == noted


def test_a_search_without_an_end_says_so(repository: Path, file: Path) -> None:
    file.write_text(file.read_text().replace('"service"', '"generator"'))
    (figure,), _ = figures_of(note_capacity("sentiment", file, repository))
    assert figure.at_least
    assert figure.way.endswith("; no more was offered")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rate_per_second": 0.0}, "field 'rate_per_second': no rate held"),
        ({"probes": []}, "field 'rate_per_second': no rate held"),
        ({"models": ["general", "contracts"]}, "field 'models': the texts went to general, contr"),
        ({"budget_ms": 80}, "field 'budget_ms' is 80; the promise is 50 ms"),
        ({"host": "http://10.0.0.7:8080"}, "field 'host' is http://10.0.0.7:8080, and what hardw"),
        ({"rate_per_second": "fast"}, "is not what a load test found: rate_per_second: Input"),
        ({"probes": [{}]}, r"is not what a load test found: probes\.0\.rate_per_second: Field"),
    ],
)
def test_what_cannot_be_noted_is_named(
    repository: Path, file: Path, changes: dict[str, Any], said: str
) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(EngineError, match=said):
        note_capacity("sentiment", file, repository)
    assert read_card(repository / "sentiment" / "1").capacities == []


def test_what_is_no_result_or_no_engine_is_named(
    repository: Path, file: Path, tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match=r"none\.json is not .*: No such file"):
        note_capacity("sentiment", tmp_path / "none.json", repository)
    (tmp_path / "line.json").write_text("CAPACITY rate=343.0 limited_by=service\n")
    with pytest.raises(EngineError, match=r"line\.json is not what a load test found: .*--json"):
        note_capacity("sentiment", tmp_path / "line.json", repository)
    with pytest.raises(EngineError, match="the texts went to sentiment, not to topics"):
        note_capacity("topics", file, repository)
    with pytest.raises(EngineError, match="no engine nothing in"):
        note_capacity("nothing", file, repository)


def test_an_engine_on_a_gpu_is_noted_with_it(
    repository: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = repository / "sentiment" / "1"
    (version / GPU_FILE).write_bytes((version / "model.onnx").read_bytes())
    tuning = tuned(GPU_FILE, file_sha256(version / GPU_FILE)).model_copy(
        update={"precision": "FP16"}
    )
    write_card(read_card(version).model_copy(update={"tuning": tuning}), version)
    gpu = Gpu("NVIDIA L4", "8.9", "580.65.06", 23034 * 2**20, 2**20)
    monkeypatch.setattr("engines.cuda.require_cuda", lambda: gpu)
    (capacity,) = note_capacity("sentiment", file, repository).capacities
    assert (capacity.way, capacity.hardware) == ("cuda FP16 1x1", hardware(gpu))


def test_a_promotion_under_way_is_left_alone(repository: Path, file: Path) -> None:
    with (
        promotion_lock(repository / "sentiment"),
        pytest.raises(EngineError, match=r"another promotion of sentiment .*nothing"),
    ):
        note_capacity("sentiment", file, repository)
    assert read_card(repository / "sentiment" / "1").capacities == []
