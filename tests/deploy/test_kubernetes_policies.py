"""Every overlay keeps every policy, and every policy finds what breaks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy import policies_cluster, policies_pods
from tests.deploy.manifests import (
    OVERLAYS,
    PRODUCTION,
    Object,
    environment,
    main_container,
    named,
    of_kind,
    pod_of,
    rendered,
)

Policy = Callable[[list[Object]], list[str]]
Change = Callable[[list[Object]], object]
EVERYWHERE = policies_pods.POLICIES + policies_cluster.POLICIES
POLICIES: list[tuple[str, Policy]] = [
    *((overlay, policy) for overlay in OVERLAYS for policy in EVERYWHERE),
    *((overlay, policy) for overlay in PRODUCTION for policy in policies_cluster.OPERATED),
    ("canary", policies_cluster.canary_by_weight),
]


@pytest.mark.parametrize(
    ("overlay", "policy"), POLICIES, ids=lambda value: getattr(value, "__name__", value)
)
def test_every_overlay_keeps_it(overlay: str, policy: Policy) -> None:
    assert policy(rendered(overlay)) == []


def deployment(kind: str) -> Callable[[list[Object]], Object]:
    return lambda objects: named(objects, "Deployment", f"sub50-{kind}")


api, triton = deployment("api"), deployment("triton")


def pod(change: Callable[[Object], object], of: Callable[..., Object] = api) -> Change:
    return lambda objects: change(pod_of(of(objects)))


def container(change: Callable[[Object], object], of: Callable[..., Object] = api) -> Change:
    return lambda objects: change(main_container(of(objects)))


def security(**changes: Any) -> Change:
    return container(lambda each: each["securityContext"].update(changes))


def first_step(change: Callable[[Object], object], of: Callable[..., Object] = api) -> Change:
    return pod(lambda each: change(each["initContainers"][0]), of)


def edit(kind: str, name: str, change: Callable[[Object], object]) -> Change:
    return lambda objects: change(named(objects, kind, name))


def without(kind: str, name: str) -> Change:
    return lambda objects: objects.remove(named(objects, kind, name))


def instead(before: str, after: str, of: Callable[..., Object] = triton) -> Change:
    """Another argument of the container that serves."""

    def change(each: Object) -> None:
        assert any(before in arg for arg in each["args"])
        each["args"] = [arg.replace(before, after) for arg in each["args"]]

    return container(change, of)


def set_env(key: str, value: str) -> Change:
    def change(each: Object) -> None:
        assert key in environment(each)
        (item,) = [item for item in each["env"] if item["name"] == key]
        item["value"] = value

    return container(change)


def list_as_one_name(objects: list[Object]) -> None:
    (listed, *_) = of_kind(objects, "ConfigMap")
    listed["metadata"]["name"] = "sub50-engines"


def allow(policy: str, way: str, rule: Object) -> Change:
    return edit("NetworkPolicy", policy, lambda each: each["spec"].setdefault(way, []).append(rule))


def one_track(objects: list[Object]) -> None:
    for name in ("sub50-triton", "sub50-triton-candidate"):
        del named(objects, "Service", name)["spec"]["selector"]["track"]


BREAKS: list[tuple[str, Change]] = [
    ("settings_known", container(lambda each: each["env"].append(
        {"name": "SUB50_LANES", "value": "4"}))),
    ("settings_known", set_env("SUB50_TRITON_START_SECONDS", "60")),
    ("settings_known", pod(lambda each: each.pop("enableServiceLinks"), triton)),
    ("restricted", pod(lambda each: each["securityContext"].pop("runAsNonRoot"))),
    ("restricted", pod(lambda each: each["securityContext"].update(runAsUser=0))),
    ("restricted", pod(lambda each: each["securityContext"].pop("seccompProfile"))),
    ("restricted", pod(lambda each: each.update(hostNetwork=True))),
    ("restricted", pod(lambda each: each["volumes"].append({"name": "n", "hostPath": {}}))),
    ("restricted", pod(lambda each: each["volumes"].append({"name": "n", "secret": {}}))),
    ("restricted", security(runAsUser=0)),
    ("restricted", security(allowPrivilegeEscalation=True)),
    ("restricted", security(capabilities={"drop": ["ALL"], "add": ["NET_ADMIN"]})),
    ("restricted", security(readOnlyRootFilesystem=False)),
    ("restricted", first_step(lambda each: each.pop("securityContext"), triton)),
    ("namespace_enforces", edit("Namespace", "sub50", lambda each: each["metadata"].pop("labels"))),
    ("no_token", edit("ServiceAccount", "sub50", lambda each: each.clear() or each.update(
        kind="ServiceAccount", metadata={"name": "sub50"}))),
    ("no_token", pod(lambda each: each.update(automountServiceAccountToken=True))),
    ("no_token", pod(lambda each: each.update(serviceAccountName="default"), triton)),
    ("images_pinned", container(lambda each: each.update(image="registry.example.com:5000/api"))),
    ("images_pinned", container(lambda each: each.update(image="api:latest"))),
    ("images_pinned", container(lambda each: each.update(image="x/tritonserver:25.10-py3"))),
    ("resources_bounded", container(lambda each: each.pop("resources") and each.update(
        resources={"limits": {}}))),
    ("resources_bounded", container(lambda each: each["resources"]["limits"].update(cpu="1"))),
    ("resources_bounded", container(lambda each: each["resources"]["requests"].pop("memory"))),
    ("resources_bounded", container(
        lambda each: each["resources"]["requests"].update(cpu="1"), triton)),
    ("resources_bounded", container(lambda each: each["resources"].update(
        requests={"cpu": "1500m", "memory": "2Gi"}, limits={"cpu": "1500m", "memory": "2Gi"}),
        triton)),
    ("engines_checked", first_step(lambda each: each.update(command=["cp", "-r"]))),
    ("engines_checked", first_step(lambda each: each["args"].pop(2), triton)),
    ("engines_checked", container(lambda each: each["volumeMounts"][0].pop("readOnly"), triton)),
    ("engines_checked", pod(lambda each: each["volumes"].pop())),
    ("engines_checked", pod(lambda each: each["volumes"][0].pop("emptyDir"))),
    ("engines_checked", list_as_one_name),
    ("threads_fit", first_step(lambda each: each["args"].pop(3), triton)),
    ("threads_fit", first_step(lambda each: each["env"][0]["valueFrom"]["resourceFieldRef"].pop(
        "containerName"), triton)),
    ("probed", container(lambda each: each.pop("startupProbe"))),
    ("probed", container(lambda each: each["livenessProbe"]["httpGet"].update(path="/readyz"))),
    ("probed", container(lambda each: each["readinessProbe"]["httpGet"].update(port="no"), triton)),
    ("probed", container(lambda each: each["readinessProbe"].update(timeoutSeconds=1))),
    ("ends_in_peace", set_env("SUB50_DRAIN_SECONDS", "4")),
    ("ends_in_peace", container(lambda each: each.pop("lifecycle"), triton)),
    ("ends_in_peace", pod(lambda each: each.pop("terminationGracePeriodSeconds"), triton)),
    ("ends_in_peace", pod(lambda each: each.update(terminationGracePeriodSeconds=24))),
    ("ends_in_peace", instead("connection-age=30000", "connection-age=300000")),
    ("ends_in_peace", lambda objects: api(objects)["spec"].update(strategy={"type": "Recreate"})),
    ("spread", pod(lambda each: each["topologySpreadConstraints"].pop())),
    ("spread", pod(lambda each: each["topologySpreadConstraints"][0]["labelSelector"].update(
        matchLabels={"app": "another"}), triton)),
    ("triton_closed", instead("mode=none", "mode=explicit")),
    ("triton_closed", instead("http-restricted-api=inference", "http-restricted-api=metadata")),
    ("triton_closed", instead("--grpc-restricted-protocol", "--grpc-header-forward-pattern")),
    ("network_closed", without("NetworkPolicy", "deny-all")),
    ("network_closed", without("NetworkPolicy", "sub50-triton")),
    ("network_closed", without("NetworkPolicy", "sub50-api")),
    ("network_closed", allow("sub50-triton", "egress", {})),
    ("network_closed", allow("sub50-triton", "ingress", {"from": [{"namespaceSelector": {}}]})),
    ("network_closed", allow("sub50-api", "egress", {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})),
    ("network_closed", allow("sub50-api", "ingress", {"from": [{"namespaceSelector": {}}]})),
    ("round_robin", set_env("SUB50_TRITON", "dns:///sub50-api:80")),
    ("round_robin", set_env("SUB50_TRITON", "sub50-triton:8001")),
    ("round_robin", set_env("SUB50_TRITON", "dns:///sub50-triton:8000")),
    ("round_robin", set_env("SUB50_TRITON", "dns:///sub50-triton-candidate:8001")),
    ("round_robin", edit("Service", "sub50-triton", lambda each: each["spec"].pop("clusterIP"))),
    ("services_fit", one_track),
    ("services_fit", edit("Service", "sub50-api", lambda s: s["spec"]["ports"][0].update(
        targetPort="web"))),
    ("services_fit", edit("Service", "sub50-api", lambda s: s["spec"].update(
        type="LoadBalancer"))),
    ("budgeted", without("PodDisruptionBudget", "sub50-triton")),
    ("budgeted", edit("PodDisruptionBudget", "sub50-api", lambda b: b["spec"].update(
        maxUnavailable=0))),
    ("budgeted", edit("PodDisruptionBudget", "sub50-api", lambda b: b["spec"].pop(
        "unhealthyPodEvictionPolicy"))),
    ("in_step", set_env("SUB50_ENGINE_LANES", "2")),
    ("in_step", edit("HorizontalPodAutoscaler", "sub50-triton", lambda h: h["spec"].update(
        maxReplicas=30))),
    ("in_step", edit("HorizontalPodAutoscaler", "sub50-api", lambda h: h["spec"]["metrics"][0][
        "external"]["target"].update(averageValue="20m"))),
    ("in_step", lambda objects: named(objects, "Deployment", "sub50-triton-candidate")[
        "spec"].update(replicas=1)),
    ("scaled", without("HorizontalPodAutoscaler", "sub50-api")),
    ("scaled", edit("HorizontalPodAutoscaler", "sub50-api", lambda h: h["spec"]["metrics"].pop())),
    ("scaled", edit("HorizontalPodAutoscaler", "sub50-api", lambda h: h["spec"].update(
        minReplicas=1))),
    ("scaled", lambda objects: api(objects)["spec"].update(replicas=2)),
    ("watched", without("ServiceMonitor", "sub50")),
    ("watched", edit("ServiceMonitor", "sub50", lambda m: m["spec"].pop("jobLabel"))),
    ("watched", edit("ServiceMonitor", "sub50", lambda m: m["spec"]["endpoints"][0].update(
        port="web"))),
    ("watched", edit("ServiceMonitor", "sub50-triton", lambda m: m["spec"].pop("targetLabels"))),
    ("canary_by_weight", edit("HTTPRoute", "sub50", lambda r: r["spec"]["rules"][1]["backendRefs"][
        0].update(weight=96))),
    ("canary_by_weight", edit("HTTPRoute", "sub50", lambda r: r["spec"]["rules"][1]["backendRefs"][
        1].update(name="sub50-api"))),
    ("canary_by_weight", without("Service", "sub50-api-candidate")),
]  # fmt: skip
BY_NAME = {policy.__name__: policy for _, policy in POLICIES}


@pytest.mark.parametrize(
    ("policy", "breaks"),
    BREAKS,
    ids=[f"{number}-{name}" for number, (name, _) in enumerate(BREAKS)],
)
def test_what_breaks_a_policy_is_found(policy: str, breaks: Change) -> None:
    objects = rendered("canary")
    breaks(objects)
    assert BY_NAME[policy](objects) != []


def test_every_policy_is_shown_to_break() -> None:
    assert {name for name, _ in BREAKS} == set(BY_NAME)


def test_the_autoscalers_agree() -> None:
    """Kubernetes' own and KEDA's have the same limits and targets."""
    assert policies_cluster.scales(rendered("cpu")) == policies_cluster.scales(rendered("gpu"))
