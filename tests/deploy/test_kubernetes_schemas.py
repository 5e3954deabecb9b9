"""Every manifest, rendered and held strictly against the schemas of several Kubernetes versions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import kubernetes_validate
import pytest
from jsonschema import Draft202012Validator
from kubernetes_validate import utils

from tests.deploy.manifests import OVERLAYS, Object, named, rendered

# 1.30 is the first that sleeps before a pod's end by itself; the newest one is the newest we know.
VERSIONS = ("1.30", "1.32", "1.34", "1.36", "1.37")
SCHEMAS = Path(__file__).parent / "schemas"
# What operators bring; see "$comment" in each for where it is from.
OPERATORS = {
    (schema["properties"]["apiVersion"]["const"], schema["properties"]["kind"]["const"]): (
        Draft202012Validator(schema)
    )
    for schema in (json.loads(path.read_text("utf-8")) for path in sorted(SCHEMAS.glob("*.json")))
}


def faults(objects: list[Object], version: str) -> list[str]:
    """What a cluster of that version would not take; a kind that nobody knows is a fault too."""
    found = []
    for each in objects:
        where = f"{each['kind']} {each['metadata']['name']}"
        operators = OPERATORS.get((each["apiVersion"], each["kind"]))
        try:
            if operators is not None:
                operators.validate(each)
            else:
                kubernetes_validate.validate(each, f"{version}.0", strict=True)
        except kubernetes_validate.SchemaNotFoundError as error:
            found.append(f"{where}: {error.message}")
        except Exception as error:
            found.append(f"{where}: {error}")
    return found


def test_every_version_has_schemas_of_its_own() -> None:
    """For one that is missing, an older one would be taken."""
    there = {utils.major_minor(version) for version in utils.all_versions()}
    assert set(VERSIONS) <= there


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_manifest_is_one(overlay: str, version: str) -> None:
    assert faults(rendered(overlay), version) == []


def unknown_kind(objects: list[Object]) -> None:
    objects[0]["kind"] = "Nonsense"


def unknown_group(objects: list[Object]) -> None:
    named(objects, "Deployment", "sub50-api")["apiVersion"] = "extensions/v1beta1"


def unknown_field(objects: list[Object]) -> None:
    named(objects, "Deployment", "sub50-api")["spec"]["template"]["spec"]["restart"] = "Always"


def wrong_type(objects: list[Object]) -> None:
    named(objects, "Service", "sub50-api")["spec"]["ports"][0]["port"] = "eighty"


def unknown_field_of_an_operator(objects: list[Object]) -> None:
    named(objects, "ServiceMonitor", "sub50")["spec"]["endpoints"][0]["every"] = "15s"


def unknown_field_of_a_rule(objects: list[Object]) -> None:
    rule = named(objects, "PrometheusRule", "sub50-alerts")["spec"]["groups"][0]["rules"][0]
    rule["page"] = "yes"


def wrong_weight(objects: list[Object]) -> None:
    named(objects, "HTTPRoute", "sub50")["spec"]["rules"][1]["backendRefs"][0]["weight"] = -1


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (unknown_kind, "Couldn't find schema for kind Nonsense"),
        (unknown_group, "Couldn't find schema for kind Deployment with api version extensions"),
        (unknown_field, "'restart' was unexpected"),
        (wrong_type, "'eighty' is not"),
        (unknown_field_of_an_operator, "'every' was unexpected"),
        (unknown_field_of_a_rule, "'page' was unexpected"),
        (wrong_weight, "-1 is less than the minimum"),
    ],
)
def test_what_is_none_is_found(breaks: Callable[[list[Object]], None], said: str) -> None:
    objects = rendered("canary")
    breaks(objects)
    (fault,) = faults(objects, VERSIONS[-1])
    assert said in fault


def test_an_unknown_field_of_a_scaled_object_is_found() -> None:
    objects = rendered("gpu")
    named(objects, "ScaledObject", "sub50-api")["spec"]["replicas"] = 3
    (fault,) = faults(objects, VERSIONS[-1])
    assert "'replicas' was unexpected" in fault
