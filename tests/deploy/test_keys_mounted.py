"""Keys from files, as Compose and Kubernetes mount them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.keys.line import line_of
from service.keys.store import KeyStore
from service.settings import Settings
from tests.deploy.conftest import DEPLOY
from tests.deploy.manifests import (
    KUBERNETES,
    OVERLAYS,
    Object,
    component,
    environment,
    kubectl,
    main_container,
    named,
    of_kind,
    pod_of,
)
from tests.deploy.policies_pods import POLICIES
from tests.deploy.test_compose import COMPOSE, PASSWORD, compose_command

KEYS = "/etc/sub50-keys/keys"


def with_keys(overlay: str, folder: Path) -> list[Object]:
    """An overlay with the component of keys, as its comment says to add it."""
    bases = {
        "resources": [os.path.relpath(KUBERNETES / "overlays" / overlay, folder)],
        "components": [os.path.relpath(KUBERNETES / "components" / "keys", folder)],
    }
    kind = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    (folder / "kustomization.yaml").write_text(json.dumps({**kind, **bases}))
    command = [kubectl(), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_secret_becomes_the_file_that_the_setting_names(overlay: str, tmp_path: Path) -> None:
    objects = with_keys(overlay, tmp_path)
    apis = [each for each in of_kind(objects, "Deployment") if component(each) == "api"]
    assert named(objects, "Deployment", "sub50-api") in apis
    for api in apis:  # the candidate of a canary, too
        check_api(api)
    for policy in POLICIES:
        assert policy(objects) == [], policy.__name__


def check_api(api: Object) -> None:
    container = main_container(api)
    assert environment(container)["SUB50_API_KEYS_FILE"] == KEYS
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == "keys"]
    assert (mount["mountPath"], mount["readOnly"]) == (str(Path(KEYS).parent), True)
    assert "subPath" not in mount  # it would never follow the secret
    (volume,) = [each for each in pod_of(api)["volumes"] if each["name"] == "keys"]
    assert volume["secret"]["items"] == [{"key": "keys", "path": Path(KEYS).name}]
    # Root's, for the pod's group: neither others nor who serves may change it.
    assert volume["secret"]["defaultMode"] == 0o440
    assert pod_of(api)["securityContext"]["fsGroup"]
    kubernetes_validate.validate(api, "1.30.0", strict=True)


def test_compose_mounts_the_folder_of_the_file(tmp_path: Path) -> None:
    command = [*compose_command(), "--file", str(COMPOSE), "--file"]
    command += [str(DEPLOY / "compose.keys.yaml"), "--profile", "cpu", "config"]
    outer = os.environ | {PASSWORD: "secret"}
    outer.pop("SUB50_KEYS_FOLDER", None)
    asked = subprocess.run(command, env=outer, capture_output=True, text=True, check=False)
    assert "name the folder that has the file keys" in asked.stderr
    outer["SUB50_KEYS_FOLDER"] = str(tmp_path)
    done = subprocess.run(command, env=outer, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    api: dict[str, Any] = yaml.safe_load(done.stdout)["services"]["api"]
    assert api["environment"]["SUB50_API_KEYS_FILE"] == KEYS
    assert f"{tmp_path}:{Path(KEYS).parent}:ro" in [short(each) for each in api["volumes"]]


def short(volume: str | dict[str, Any]) -> str:
    """A volume in one line; the first Compose shows them so, the second as objects."""
    if isinstance(volume, str):
        return volume
    mode = "ro" if volume.get("read_only") else "rw"
    return f"{volume['source']}:{volume['target']}:{mode}"


def test_hashes_may_stand_in_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUB50_API_KEYS", json.dumps([line_of("ana", "key", "rate=5")]))
    assert KeyStore(Settings()).callers.find("key")
