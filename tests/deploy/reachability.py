"""Whether network policies let a connection through, worked out as Kubernetes defines them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.deploy.manifests import Object, matches, of_kind


@dataclass(frozen=True)
class Peer:
    """A pod anywhere, or outside (no namespace): its namespace's labels, and its own."""

    namespace: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def inside(self) -> bool:
        """Whether it is in our namespace, whose policies hold for it."""
        return ("kubernetes.io/metadata.name", "sub50") in self.namespace


@dataclass(frozen=True)
class Probe:
    """A connection, and whether it is to be let through."""

    name: str
    source: Peer
    target: Peer
    port: int
    allowed: bool
    protocol: str = "TCP"


def peer(namespace: str, *more: tuple[str, str], **labels: str) -> Peer:
    """A pod with `app.kubernetes.io/` labels, in a namespace that may carry more labels."""
    own = tuple((f"app.kubernetes.io/{key}", value) for key, value in labels.items())
    return Peer((("kubernetes.io/metadata.name", namespace), *more), own)


API = peer("sub50", component="api")
TRITON = peer("sub50", component="triton")
PROMETHEUS = peer("monitoring", name="prometheus")
GATEWAY = peer("gateway", ("sub50-client", "true"))
DNS = Peer((("kubernetes.io/metadata.name", "kube-system"),), (("k8s-app", "kube-dns"),))
STRANGER = peer("elsewhere", name="shell")
NEIGHBOUR = peer("sub50", name="shell")
OUTSIDE = Peer()
PROBES = (
    Probe("gateway to API", GATEWAY, API, 8080, True),
    Probe("Prometheus to API", PROMETHEUS, API, 8080, True),
    Probe("API to Triton", API, TRITON, 8001, True),
    Probe("Prometheus to Triton's metrics", PROMETHEUS, TRITON, 8002, True),
    Probe("API to DNS", API, DNS, 53, True, "UDP"),
    Probe("a stranger to API", STRANGER, API, 8080, False),
    Probe("a pod of the namespace to API", NEIGHBOUR, API, 8080, False),
    Probe("gateway to Triton", GATEWAY, TRITON, 8001, False),
    Probe("a pod of the namespace to Triton", NEIGHBOUR, TRITON, 8001, False),
    Probe("another pod of monitoring to API", peer("monitoring", name="shell"), API, 8080, False),
    Probe("a stranger's Prometheus to API", peer("elsewhere", name="prometheus"), API, 8080, False),
    Probe("Prometheus to Triton's gRPC", PROMETHEUS, TRITON, 8001, False),
    Probe("API to Triton's HTTP", API, TRITON, 8000, False),
    Probe("Triton to API", TRITON, API, 8080, False),
    Probe("Triton to DNS", TRITON, DNS, 53, False, "UDP"),
    Probe("Triton to the outside", TRITON, OUTSIDE, 443, False),
    Probe("API to the outside", API, OUTSIDE, 443, False),
    Probe("API to a stranger", API, STRANGER, 8001, False),
    Probe("a pod of the namespace to the outside", NEIGHBOUR, OUTSIDE, 443, False),
)


def reaches(objects: list[Object], probe: Probe) -> bool:
    """Whether the policies of both ends let a connection through."""
    source, target = probe.source, probe.target
    return allows(objects, "Egress", source, target, probe) and allows(
        objects, "Ingress", target, source, probe
    )


def allows(objects: list[Object], way: str, pod: Peer, other: Peer, probe: Probe) -> bool:
    """Whether the policies of `pod`'s namespace allow this way; a pod that none selects is free."""
    wanted = (probe.port, probe.protocol)
    if not pod.inside:
        return True
    policies = [each["spec"] for each in of_kind(objects, "NetworkPolicy")]
    selecting = [
        spec
        for spec in policies
        if way in spec["policyTypes"] and matches(labels_in(spec["podSelector"]), dict(pod.labels))
    ]
    return not selecting or any(
        any(is_peer(item, other) for item in peers)
        and any((entry["port"], entry.get("protocol", "TCP")) == wanted for entry in ports)
        for spec in selecting
        for peers, ports in rules_of(spec, way)
    )


def rules_of(spec: Object, way: str) -> Iterator[tuple[list[Object], list[Object]]]:
    """Peers and ports of each rule; a rule without either is one for all, which none here is."""
    key, side = ("egress", "to") if way == "Egress" else ("ingress", "from")
    for rule in spec.get(key) or []:
        yield rule.get(side) or [{"everyone": True}], rule.get("ports") or EVERY_PORT


EVERY_PORT: list[Object] = [
    {"port": port, "protocol": protocol}
    for port in (53, 443, 8000, 8001, 8002, 8080)
    for protocol in ("TCP", "UDP")
]


def is_peer(item: Object, other: Peer) -> bool:
    """Whether a rule's peer means `other`."""
    if item.get("everyone") or "ipBlock" in item:
        return True
    namespace, pods = item.get("namespaceSelector"), item.get("podSelector")
    if not other.namespace:
        return False
    if namespace is None:
        here = other.inside
    else:
        here = matches(labels_in(namespace), dict(other.namespace))
    return here and (pods is None or matches(labels_in(pods), dict(other.labels)))


def labels_in(selector: Object) -> dict[str, str]:
    """The labels of a selector, which has nothing else here."""
    assert selector.keys() <= {"matchLabels"}, selector
    labels: dict[str, str] = selector.get("matchLabels", {})
    return labels
