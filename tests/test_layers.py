"""Dependencies point one way; this reads every import and says where one points back."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("chaos", "core", "engines", "fuzz", "loadtest", "service")
# The one place that knows both sides: the command line.
COMPOSITION_ROOT = "service/cli.py"


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def offences(under: str, forbidden: tuple[str, ...], but: tuple[str, ...] = ()) -> list[str]:
    found = []
    for path in modules():
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(under) or name in but:
            continue
        for imported in imports_of(path):
            if any(imported == f or imported.startswith(f"{f}.") for f in forbidden):
                found.append(f"{name} imports {imported}")
    return found


@pytest.mark.parametrize(
    ("under", "forbidden"),
    [
        ("core/", ("engines", "loadtest", "service")),
        ("engines/", ("chaos", "loadtest", "service", "fastapi", "fuzz")),
        ("service/", ("chaos", "engines", "loadtest", "fuzz")),
        ("loadtest/", ("chaos", "core", "engines", "service", "fuzz")),
        ("chaos/", ("engines", "service", "fuzz")),
        ("service/pipeline.py", ("fastapi", "starlette", "grpc", "tritonclient", "service.api")),
        ("service/postprocess.py", ("fastapi", "starlette", "grpc", "service.api")),
        ("service/admission.py", ("fastapi", "starlette", "grpc", "service.api")),
        ("service/triton/", ("fastapi", "starlette", "service.api", "service.pipeline")),
        ("service/board/", ("fastapi", "starlette", "grpc", "service.api", "service.triton")),
        ("service/errors.py", ("service", "core", "fastapi", "starlette", "grpc")),
        ("service/settings.py", ("service", "core", "fastapi", "grpc")),
        ("service/schemas.py", ("service", "core", "fastapi", "grpc")),
        ("service/metrics.py", ("service", "core", "fastapi", "grpc")),
        ("service/api/", ("grpc", "tritonclient", "service.triton")),
    ],
)
def test_no_import_points_back(under: str, forbidden: tuple[str, ...]) -> None:
    assert offences(under, forbidden, but=(COMPOSITION_ROOT,)) == []


def test_serving_never_needs_the_training_side() -> None:
    training = ("torch", "peft", "transformers")
    its_own = (
        "engines/averaged_trainer.py",
        "engines/debias_trainer.py",
        "engines/trainer.py",
        "engines/network.py",
        "engines/profile_training.py",
        "engines/training_state.py",
        "engines/export.py",
        "engines/sentencepiece_reader.py",
        "engines/student.py",
        "engines/student_trainer.py",
    )
    assert offences("", training, but=its_own) == []


def test_only_tracing_knows_opentelemetry() -> None:
    assert offences("", ("opentelemetry",), but=("service/tracing.py",)) == []


def test_files_stay_short() -> None:
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for path in [*modules(), *(ROOT / "tests").rglob("*.py")]
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert long == {}


def test_functions_stay_short() -> None:
    long = []
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and own_lines(node) > 40:
                long.append(f"{path.relative_to(ROOT)}:{node.name} has {own_lines(node)} lines")
    assert long == []


def own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring and without the functions defined inside it."""
    inner = [
        node
        for node in function.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]
    return lines_of(function) - sum(
        lines_of(node) + len(getattr(node, "decorator_list", [])) for node in inner
    )


def lines_of(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1
