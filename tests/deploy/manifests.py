"""The manifests of deploy/kubernetes, rendered by kubectl's Kustomize as a cluster gets them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import DEPLOY

KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = sorted(path.parent.name for path in KUBERNETES.glob("overlays/*/kustomization.yaml"))
# Autoscaled, spread over machines, pinned to their engines.
PRODUCTION = [overlay for overlay in OVERLAYS if overlay != "dev"]
Object = dict[str, Any]
HOW = "https://kubernetes.io/docs/tasks/tools/, 1.30 or newer"


def kubectl() -> str:
    """Path of kubectl. Without it the test is skipped, or fails where REQUIRE_KUBECTL is set."""
    found = shutil.which("kubectl")
    if found is None:
        if os.environ.get("REQUIRE_KUBECTL"):
            pytest.fail(f"kubectl is not installed: {HOW}")
        pytest.skip(f"kubectl is not installed: {HOW}")
    return found


@cache
def rendered_text(overlay: str) -> str:
    """What `kubectl apply -k` would send, as YAML."""
    command = [kubectl(), "kustomize", str(KUBERNETES / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(overlay: str) -> list[Object]:
    """The objects of an overlay, anew each time, so that a test may change them."""
    return [each for each in yaml.safe_load_all(rendered_text(overlay)) if each]


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    """Those of some kinds."""
    return [each for each in objects if each["kind"] in kinds]


def named(objects: list[Object], kind: str, name: str) -> Object:
    """The one of that kind and name."""
    (found,) = [each for each in of_kind(objects, kind) if each["metadata"]["name"] == name]
    return found


def pod_of(deployment: Object) -> Object:
    """The pod's specification in a deployment."""
    pod: Object = deployment["spec"]["template"]["spec"]
    return pod


def labels_of(deployment: Object) -> dict[str, str]:
    """The labels of a deployment's pods."""
    labels: dict[str, str] = deployment["spec"]["template"]["metadata"]["labels"]
    return labels


def containers_of(deployment: Object) -> Iterator[Object]:
    """Every container of a deployment's pods, those that run first among them."""
    pod = pod_of(deployment)
    yield from pod.get("initContainers", [])
    yield from pod["containers"]


def main_container(deployment: Object) -> Object:
    """The container that serves."""
    (container,) = pod_of(deployment)["containers"]
    result: Object = container
    return result


def component(deployment: Object) -> str:
    """api or triton."""
    return labels_of(deployment)["app.kubernetes.io/component"]


def environment(container: Object) -> dict[str, str]:
    """Variables of a container that have a plain value."""
    return {item["name"]: item["value"] for item in container.get("env", []) if "value" in item}


def matches(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a selector of plain labels selects something that carries `labels`."""
    return selector.items() <= labels.items()
