"""deploy/compose.yaml: understood by Compose, by its schema, and keeping what it promises."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from engines.cli import engines_app
from service.settings import Settings
from tests.deploy.conftest import DEPLOY, ROOT, load
from tests.deploy.dockerfile import read_stages

COMPOSE = DEPLOY / "compose.yaml"
STACK: dict[str, Any] = load(COMPOSE)
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
PROFILES = ("cpu", "gpu", "loadtest")
# They end; the others stay.
ONE_SHOT = {"engines", "engines-gpu", "engines-fp16"}
PASSWORD = "GRAFANA_ADMIN_PASSWORD"
HOW = "`apt-get install docker-compose`, or Docker's plugin"


def compose_command() -> list[str]:
    """Compose as this machine has it; its `config` needs no engine."""
    if shutil.which("docker"):
        asked = ["docker", "compose", "version"]
        if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if os.environ.get("REQUIRE_COMPOSE"):
        pytest.fail(f"Compose is not installed: {HOW}")
    pytest.skip(f"Compose is not installed: {HOW}")


def config(path: Path, *profiles: str, **given: str) -> subprocess.CompletedProcess[str]:
    """What Compose makes of a file; `given` are variables of its environment."""
    outer = {name: value for name, value in os.environ.items() if name != PASSWORD}
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    command = [*compose_command(), "--file", str(path), *chosen, "config"]
    return subprocess.run(command, env=outer | given, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("profile", PROFILES)
def test_compose_takes_it(profile: str) -> None:
    done = config(COMPOSE, profile, **{PASSWORD: "secret"})
    assert done.returncode == 0, done.stderr
    merged = yaml.safe_load(done.stdout)["services"]
    expected = {n for n, s in SERVICES.items() if profile in s.get("profiles", [profile])}
    assert set(merged) >= expected
    assert merged["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"] == "secret"


def test_compose_asks_for_the_password() -> None:
    done = config(COMPOSE)
    assert done.returncode != 0
    assert PASSWORD in done.stderr
    assert "choose a password" in done.stderr


def test_compose_refuses_what_is_no_setting(tmp_path: Path) -> None:
    worse = tmp_path / "compose.yaml"
    worse.write_text("services: {api: {image: a, read_onyl: true}}\n", encoding="utf-8")
    assert config(worse).returncode != 0


def by_schema(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    return subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)


def test_it_keeps_to_the_schema_of_the_specification(tmp_path: Path) -> None:
    done = by_schema(COMPOSE)
    assert done.returncode == 0, done.stdout + done.stderr
    worse = tmp_path / "compose.yaml"
    worse.write_text(COMPOSE.read_text().replace("read_only: true", "read_only: [1]"), "utf-8")
    assert "read_only" in by_schema(worse).stdout


def faults(name: str, service: dict[str, Any]) -> list[str]:
    """What a service lacks of what every container here has."""
    wanted = {
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "tmpfs": ["/tmp"],
    }
    found = [key for key, value in wanted.items() if service.get(key) != value]
    found += [key for key in ("mem_limit", "pids_limit") if not service.get(key)]
    found += [] if service["logging"]["options"].keys() >= {"max-size", "max-file"} else ["logging"]
    stays = service.get("restart") == "unless-stopped"
    if not stays and not (name in ONE_SHOT or service.get("profiles") == ["loadtest"]):
        found.append("restart")
    if not re.fullmatch(r"[a-z0-9./-]+:[\w.-]*\d[\w.-]*(@sha256:[0-9a-f]{64})?", service["image"]):
        found.append("image")
    if service.get("privileged") or service.get("cap_add") or service.get("pid"):
        found.append("privileged")
    ours = service.get("build", {}).get("target")
    if ours is None and not re.fullmatch(r"[1-9]\d*:\d+", service.get("user", "0")):
        found.append("user")  # that of ours is held by test_dockerfile.py
    checked = "healthcheck" in service or (ours is not None and has_healthcheck(ours))
    if not checked and name not in ONE_SHOT:
        found.append("healthcheck")
    for port in service.get("ports", []):
        if not port.startswith(("127.0.0.1:", "${SUB50_PUBLISH:-127.0.0.1:")):
            found.append("ports")
    return found


def has_healthcheck(target: str) -> bool:
    stage = read_stages(ROOT / "Dockerfile")[target]
    return any(step.keyword == "HEALTHCHECK" for step in stage.steps)


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_no_more_than_it_needs(name: str) -> None:
    assert faults(name, SERVICES[name]) == []


@pytest.mark.parametrize(
    ("fault", "worse"),
    [
        ("read_only", {"read_only": False}),
        ("cap_drop", {"cap_drop": ["NET_RAW"]}),
        ("security_opt", {"security_opt": []}),
        ("mem_limit", {"mem_limit": None}),
        ("pids_limit", {"pids_limit": 0}),
        ("logging", {"logging": {"options": {}}}),
        ("restart", {"restart": "no"}),
        ("image", {"image": "prom/prometheus:latest"}),
        ("image", {"image": "prom/prometheus"}),
        ("user", {"user": "0:0"}),
        ("user", {"user": "root"}),
        ("privileged", {"cap_add": ["SYS_ADMIN"]}),
        ("ports", {"ports": ["9090:9090"]}),
        ("ports", {"ports": ["0.0.0.0:9090:9090"]}),
    ],
)
def test_a_container_that_may_do_more_would_be_seen(fault: str, worse: dict[str, Any]) -> None:
    assert faults("prometheus", SERVICES["prometheus"] | worse) == [fault]


def test_a_container_without_a_healthcheck_would_be_seen() -> None:
    bare = {key: value for key, value in SERVICES["prometheus"].items() if key != "healthcheck"}
    assert faults("prometheus", bare) == ["healthcheck"]


def networks_of(service: dict[str, Any]) -> set[str]:
    return set(service.get("networks", ["default"]))


def test_triton_is_reached_by_nobody_outside() -> None:
    assert STACK["networks"]["inside"] == {"internal": True}
    for name in ("triton", "triton-gpu"):
        service = SERVICES[name]
        assert networks_of(service) == {"inside"}
        assert service["networks"]["inside"] == {"aliases": ["triton"]}
        assert "ports" not in service
    assert SERVICES["api"]["environment"]["SUB50_TRITON"] == "dns:///triton:8001"
    assert {SERVICES[name]["network_mode"] for name in ONE_SHOT} == {"none"}


def test_one_profile_brings_one_triton_and_a_gpu() -> None:
    assert SERVICES["triton"]["profiles"] == ["cpu"]
    assert SERVICES["triton-gpu"]["profiles"] == ["gpu"]
    (device,) = SERVICES["triton-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    tag = re.fullmatch(
        r"nvcr\.io/nvidia/tritonserver:(\d\d\.\d\d)-py3.*", SERVICES["triton"]["image"]
    )
    # Older ones have known holes.
    assert tag is not None
    assert tag[1] >= "26.07"


def test_triton_on_a_gpu_waits_for_the_graphs_that_are_made_for_it() -> None:
    after = {name: list(SERVICES[name].get("depends_on", {})) for name in SERVICES}
    assert after["triton-gpu"] == ["engines-fp16"]
    assert after["engines-fp16"] == ["engines-gpu"]
    assert after["engines-gpu"] == ["engines"]
    tune = typer.main.get_command(engines_app).commands["tune"]
    known = {option for parameter in tune.params for option in parameter.opts}
    verb, *options = SERVICES["engines-fp16"]["command"][1:]
    assert verb == "tune"
    assert {option.partition("=")[0] for option in options} <= known


def test_only_what_makes_engines_writes_them() -> None:
    mounts = {n: [v for v in s.get("volumes", []) if "models" in v] for n, s in SERVICES.items()}
    assert {n: v for n, v in mounts.items() if v} == {
        "engines": ["models:/models"],
        "api": ["models:/models:ro"],
        "triton": ["models:/models:ro"],
        "engines-gpu": ["models:/models:ro", "models-gpu:/delivered"],
        "engines-fp16": ["models-gpu:/delivered"],
        "triton-gpu": ["models-gpu:/models:ro"],
    }


def test_files_are_there_and_cannot_be_written() -> None:
    binds = [v for s in SERVICES.values() for v in s.get("volumes", []) if v.startswith(".")]
    assert len(binds) == 5
    for bind in binds:
        source, _, mode = bind.split(":")
        assert (DEPLOY / source).exists(), source
        assert mode == "ro"


def test_it_sets_settings_that_there_are() -> None:
    names = {n for s in SERVICES.values() for n in s.get("environment", {})}
    known = {f"SUB50_{name.upper()}" for name in Settings.model_fields}
    ours = {name for name in names if name.startswith("SUB50_")}
    assert {"SUB50_TRITON", "SUB50_API_KEYS"} <= ours <= known


def test_no_key_asks_for_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    default = re.fullmatch(r"\$\{SUB50_API_KEYS:-(.+)\}", environment("api", "SUB50_API_KEYS"))
    assert default is not None
    monkeypatch.setenv("SUB50_API_KEYS", default[1])
    assert Settings().api_keys == ()


def environment(service: str, name: str) -> str:
    return str(SERVICES[service]["environment"][name])
