"""What the objects have to be to one another: who reaches whom, who scales whom, who is watched.

A policy takes the objects of an overlay and returns what breaks it, for people.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from tests.deploy.manifests import (
    Object,
    component,
    environment,
    labels_of,
    main_container,
    matches,
    named,
    of_kind,
    pod_of,
)
from tests.deploy.policies_pods import name, option
from tests.deploy.reachability import PROBES, reaches

SIGNALS = {"sub50_backlog_seconds", "sub50_inflight_tokens"}
UNITS = {"u": Fraction(1, 10**6), "m": Fraction(1, 1000)}


def network_closed(objects: list[Object]) -> list[str]:
    """Clients and Prometheus reach the API, the API and Prometheus Triton; nothing else goes."""
    found = []
    for probe in PROBES:
        if reaches(objects, probe) is not probe.allowed:
            found.append(f"{probe.name} is {'not ' if probe.allowed else ''}let through")
    return found


def round_robin(objects: list[Object]) -> list[str]:
    """An API's Triton is the name of a headless service, of the Tritons of its own track."""
    found = []
    for each in of_kind(objects, "Deployment"):
        if component(each) != "api":
            continue
        target = environment(main_container(each))["SUB50_TRITON"]
        host, _, port = target.removeprefix("dns:///").partition(":")
        if not target.startswith("dns:///"):
            found.append(f"{name(each)} asks for {target}, one address")
        services = [s for s in of_kind(objects, "Service") if name(s) == host]
        if [service["spec"].get("clusterIP") for service in services] != ["None"]:
            found.append(f"{name(each)} asks for {host}, no headless service")
            continue
        (service,) = services
        tracks = {
            labels_of(other)["track"]
            for other in of_kind(objects, "Deployment")
            if matches(service["spec"]["selector"], labels_of(other))
        }
        if tracks != {labels_of(each)["track"]}:
            found.append(f"{name(each)} asks the Tritons of {sorted(tracks)}")
        if int(port) not in {entry["port"] for entry in service["spec"]["ports"]}:
            found.append(f"{name(each)} asks on port {port}")
    return found


def services_fit(objects: list[Object]) -> list[str]:
    """A service selects the pods of one deployment, has ports that they have, and stays inside."""
    found = []
    for service in of_kind(objects, "Service"):
        spec = service["spec"]
        selected = [
            each
            for each in of_kind(objects, "Deployment")
            if matches(spec["selector"], labels_of(each))
        ]
        if len(selected) != 1:
            found.append(f"{name(service)} selects {sorted(map(name, selected))}")
            continue
        ports = {port["name"] for port in main_container(selected[0])["ports"]}
        found += [
            f"{name(service)} sends to {port['targetPort']}, which nobody has"
            for port in spec["ports"]
            if port["targetPort"] not in ports
        ]
        if spec.get("type", "ClusterIP") != "ClusterIP":
            found.append(f"{name(service)} is open to the outside")
    return found


def budgeted(objects: list[Object]) -> list[str]:
    """Draining nodes takes one pod of a kind at a time, and hangs on none that is not ready."""
    found = []
    for each in of_kind(objects, "Deployment"):
        budgets = [
            budget["spec"]
            for budget in of_kind(objects, "PodDisruptionBudget")
            if matches(budget["spec"]["selector"]["matchLabels"], labels_of(each))
        ]
        if [budget.get("maxUnavailable") for budget in budgets] != [1]:
            found.append(f"{name(each)} has no budget of one pod")
        elif budgets[0].get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            found.append(f"{name(each)}, not ready, keeps its node from being drained")
    return found


def scales(objects: list[Object]) -> dict[str, tuple[int, int, dict[str, Fraction]]]:
    """Least, most, and the target of each signal, of every deployment that is scaled."""
    found: dict[str, tuple[int, int, dict[str, Fraction]]] = {}
    for each in of_kind(objects, "HorizontalPodAutoscaler"):
        spec = each["spec"]
        targets = {
            metric["external"]["metric"]["name"]: quantity(metric["external"]["target"])
            for metric in spec["metrics"]
        }
        found[spec["scaleTargetRef"]["name"]] = (spec["minReplicas"], spec["maxReplicas"], targets)
    for each in of_kind(objects, "ScaledObject"):
        spec = each["spec"]
        targets = {}
        for trigger in spec["triggers"]:
            (signal,) = [s for s in SIGNALS if s in trigger["metadata"]["query"]] or ["another"]
            targets[signal] = Fraction(trigger["metadata"]["threshold"])
        least, most = spec["minReplicaCount"], spec["maxReplicaCount"]
        found[spec["scaleTargetRef"]["name"]] = (least, most, targets)
    return found


def quantity(target: Any) -> Fraction:
    """A target's average value, such as 15m."""
    text = str(target["averageValue"])
    unit = UNITS.get(text[-1])
    return Fraction(text) if unit is None else Fraction(text[:-1]) * unit


def scaled(objects: list[Object]) -> list[str]:
    """Both follow both signals, from two pods up, and nothing else sets the number of pods."""
    found = []
    scaling = scales(objects)
    for each in of_kind(objects, "Deployment"):
        if labels_of(each)["track"] != "stable":
            continue
        least, most, targets = scaling.get(name(each), (0, 0, {}))
        if set(targets) != SIGNALS:
            found.append(f"{name(each)} follows {sorted(targets)}")
        if least < 2 or most <= least:
            found.append(f"{name(each)} has {least} to {most} pods")
        if "replicas" in each["spec"]:
            found.append(f"{name(each)} is set back whenever it is applied")
    return found


def in_step(objects: list[Object]) -> list[str]:
    """Each API has as many lanes as Tritons' instances fall to it, however many pods there are."""
    found = []
    scaling = scales(objects)
    deployments = of_kind(objects, "Deployment")
    for api in (each for each in deployments if component(each) == "api"):
        (triton,) = [
            each
            for each in deployments
            if component(each) == "triton" and labels_of(each)["track"] == labels_of(api)["track"]
        ]
        step = pod_of(triton)["initContainers"][0]
        instances = int(option(step, "--instances")) or 1
        lanes = Fraction(environment(main_container(api))["SUB50_ENGINE_LANES"])
        pairs = [(api["spec"].get("replicas"), triton["spec"].get("replicas"))]
        if name(api) in scaling and name(triton) in scaling:
            (low, high, targets), (t_low, t_high, t_targets) = (
                scaling[name(api)],
                scaling[name(triton)],
            )
            pairs = [(low, t_low), (high, t_high)]
            pairs += [(t_targets[s], targets[s]) for s in SIGNALS & set(targets) & set(t_targets)]
        for few, many in pairs:
            if few is None or many is None or lanes != instances * Fraction(many) / Fraction(few):
                found.append(f"{name(api)} has {lanes} lanes for {instances} x {many} / {few}")
    return found


def watched(objects: list[Object]) -> list[str]:
    """The alerts' job is the APIs and nothing else; the dashboards' Triton has its own."""
    found = []
    jobs: dict[str, set[str]] = {}
    for monitor in of_kind(objects, "ServiceMonitor"):
        spec = monitor["spec"]
        for service in of_kind(objects, "Service"):
            labels = service["metadata"].get("labels", {})
            if matches(spec["selector"]["matchLabels"], labels):
                jobs.setdefault(labels.get(spec.get("jobLabel"), name(service)), set()).add(
                    labels["app.kubernetes.io/component"]
                )
                ports = {port["name"] for port in service["spec"]["ports"]}
                wanted = {endpoint["port"] for endpoint in spec["endpoints"]}
                found += [f"{name(service)} has no port {port}" for port in wanted - ports]
        if spec.get("targetLabels") != ["track"]:
            found.append(f"{name(monitor)} does not tell tracks apart")
    if jobs != {"sub50": {"api"}, "triton": {"triton"}}:
        found.append(f"jobs are {jobs}")
    return found


def canary_by_weight(objects: list[Object]) -> list[str]:
    """The route's weights are shares of a hundred, over services that are there, both of them."""
    route = named(objects, "HTTPRoute", "sub50")
    services = {name(each): each for each in of_kind(objects, "Service")}
    (shares,) = [rule["backendRefs"] for rule in route["spec"]["rules"] if "matches" not in rule]
    found = [f"no service {ref['name']}" for ref in shares if ref["name"] not in services]
    if sum(ref.get("weight", 1) for ref in shares) != 100:
        found.append("the weights are no shares of a hundred")
    tracks = sorted(
        services[ref["name"]]["spec"]["selector"]["track"]
        for ref in shares
        if ref["name"] in services
    )
    return found if tracks == ["candidate", "stable"] else [*found, f"the tracks are {tracks}"]


POLICIES = (network_closed, round_robin, services_fit, budgeted, in_step)
OPERATED = (scaled, watched)
