"""What every pod has to be: restricted, fed with checked engines, told apart when it ends.

A policy takes the objects of an overlay and returns what breaks it, for people.
"""

from __future__ import annotations

import re

from service.run import FINISH_SECONDS
from service.settings import ENVIRONMENT_PREFIX, Settings
from service.triton.client import CHANNEL_OPTIONS, HEALTH_SECONDS
from tests.deploy.manifests import (
    Object,
    component,
    containers_of,
    environment,
    labels_of,
    main_container,
    named,
    of_kind,
    pod_of,
)

# The longest that CoreDNS keeps an answer, and what gRPC adds to a connection's age by chance.
DNS_SECONDS = 30
AGE_JITTER = 1.1
SPARE_SECONDS = 5
CHECKSUMS = "/etc/sub50/engines.sha256"


def name(each: Object) -> str:
    return str(each["metadata"]["name"])


def restricted(objects: list[Object]) -> list[str]:
    """No right that serving does not need: Kubernetes' restricted standard, and read-only roots."""
    found = []
    for each in of_kind(objects, "Deployment"):
        pod = pod_of(each)
        security = pod.get("securityContext", {})
        if not (security.get("runAsNonRoot") and security.get("runAsUser", 0) > 0):
            found.append(f"{name(each)} may run as root")
        if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            found.append(f"{name(each)} may use every system call")
        if any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
            found.append(f"{name(each)} shares the node's namespaces")
        for volume in pod.get("volumes", []):
            if volume.keys() - {"name", "emptyDir", "configMap", "secret"}:
                found.append(f"{name(each)} mounts {volume['name']}, neither scratch nor settings")
            if volume.get("secret", {"defaultMode": 0}).get("defaultMode", 0o644) & 0o337:
                found.append(f"others may read the secret {volume['name']}, or change it")
        for container in containers_of(each):
            own = container.get("securityContext", {})
            if own.get("runAsUser", 1) == 0 or own.get("runAsNonRoot") is False:
                found.append(f"{name(each)}/{container['name']} runs as root")
            if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
                found.append(f"{name(each)}/{container['name']} may gain privileges")
            if own.get("capabilities") != {"drop": ["ALL"]}:
                found.append(f"{name(each)}/{container['name']} keeps capabilities")
            if own.get("readOnlyRootFilesystem") is not True:
                found.append(f"{name(each)}/{container['name']} may write to its image")
    return found


def namespace_enforces(objects: list[Object]) -> list[str]:
    """A pod that asks for more is not admitted."""
    labels = named(objects, "Namespace", "sub50")["metadata"].get("labels", {})
    enforced = labels.get("pod-security.kubernetes.io/enforce")
    return [] if enforced == "restricted" else [f"the namespace enforces {enforced}"]


def no_token(objects: list[Object]) -> list[str]:
    """Nothing here asks the cluster for anything."""
    accounts = {name(each): each for each in of_kind(objects, "ServiceAccount")}
    found = [f"{key} mounts its token" for key, each in accounts.items() if mounts(each)]
    for each in of_kind(objects, "Deployment"):
        pod = pod_of(each)
        if mounts(pod):
            found.append(f"{name(each)} mounts a token")
        if pod.get("serviceAccountName") not in accounts:
            found.append(f"{name(each)} has the account of everybody")
    return found


def mounts(each: Object) -> bool:
    return each.get("automountServiceAccountToken") is not False


def images_pinned(objects: list[Object]) -> list[str]:
    """The same image tomorrow; of Triton one that knows its batcher's fault (26.07)."""
    found = []
    for each in of_kind(objects, "Deployment"):
        for container in containers_of(each):
            image = container["image"]
            _, _, tag = image.rpartition("/")[2].partition(":")
            if not tag or tag == "latest":
                found.append(f"{name(each)}/{container['name']} runs {image}, whatever that is")
            if "tritonserver" in image and re.match(r"(\d+\.\d+)", tag or "0.0")[1] < "26.07":
                found.append(f"{name(each)} runs {image}, older than 26.07")
    return found


def resources_bounded(objects: list[Object]) -> list[str]:
    """Memory is bounded everywhere; processors are Triton's own, and no quota stops the API."""
    found = []
    for each in of_kind(objects, "Deployment"):
        for container in containers_of(each):
            where = f"{name(each)}/{container['name']}"
            resources = container.get("resources", {})
            asked, most = resources.get("requests", {}), resources.get("limits", {})
            if not asked.get("cpu") or not asked.get("memory"):
                found.append(f"{where} asks for no processor or no memory")
            if asked.get("memory") != most.get("memory"):
                found.append(f"{where} may take more memory than it asked for")
        serving = main_container(each)["resources"]
        if component(each) == "api" and "cpu" in serving["limits"]:
            found.append(f"{name(each)} is stopped by a quota")
        if component(each) == "triton":
            if serving["requests"] != serving["limits"]:
                found.append(f"{name(each)} shares its processors")
            if not str(serving["limits"]["cpu"]).isdecimal():
                found.append(f"{name(each)} has a part of a processor")
    return found


def engines_checked(objects: list[Object]) -> list[str]:
    """Engines come through the step that checks them, and are read-only to who serves them.

    Where they are listed, the list's name changes with it, so that pods follow.
    """
    found = []
    lists = {
        name(each) for each in of_kind(objects, "ConfigMap") if "engines.sha256" in each["data"]
    }
    for each in of_kind(objects, "Deployment"):
        pod = pod_of(each)
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        first = pod.get("initContainers", [{}])[0]
        if first.get("command") != ["sub50", "engines", "deliver"]:
            found.append(f"{name(each)} serves what nobody checked")
        by_path = {mount["mountPath"]: mount for mount in main_container(each)["volumeMounts"]}
        if not by_path["/models"].get("readOnly"):
            found.append(f"{name(each)} may write to its engines")
        if "emptyDir" not in volumes[by_path["/models"]["name"]]:
            found.append(f"{name(each)} shares its engines with other pods")
        if lists and f"--checksums={CHECKSUMS}" not in first.get("args", []):
            found.append(f"{name(each)} does not compare with the list")
        if lists and not (
            set(lists) & {volume.get("configMap", {}).get("name") for volume in volumes.values()}
        ):
            found.append(f"{name(each)} does not mount the list")
    return found + [f"{each} has a fixed name" for each in lists if each.endswith("engines")]


def threads_fit(objects: list[Object]) -> list[str]:
    """Engines on processors get as many threads as Triton's container has processors."""
    found = []
    for each in of_kind(objects, "Deployment"):
        args = pod_of(each)["initContainers"][0]["args"]
        if component(each) != "triton" or "--device=gpu" in args:
            continue
        (variable,) = pod_of(each)["initContainers"][0].get("env", [{}])
        source = variable.get("valueFrom", {}).get("resourceFieldRef", {})
        if f"--cores=$({variable.get('name')})" not in args or (
            (source.get("containerName"), source.get("resource")) != ("triton", "limits.cpu")
        ):
            found.append(f"{name(each)} takes threads for the whole machine")
    return found


def probed(objects: list[Object]) -> list[str]:
    """Started, ready and alive are three questions; being alive does not depend on others."""
    paths = {
        "api": {"startupProbe": "/livez", "readinessProbe": "/readyz", "livenessProbe": "/livez"},
        "triton": {
            "startupProbe": "/v2/health/ready",
            "readinessProbe": "/v2/health/ready",
            "livenessProbe": "/v2/health/live",
        },
    }
    found = []
    for each in of_kind(objects, "Deployment"):
        container = main_container(each)
        ports = {port["name"] for port in container["ports"]}
        for probe, path in paths[component(each)].items():
            asked = container.get(probe, {}).get("httpGet", {})
            if asked.get("path") != path or asked.get("port") not in ports:
                found.append(f"{name(each)}: {probe} does not ask {path}")
        # A Triton that hangs holds the answer up for so long, and then there is one.
        if container.get("readinessProbe", {}).get("timeoutSeconds", 1) <= HEALTH_SECONDS:
            found.append(f"{name(each)}: readinessProbe gives up before the answer")
    return found


def ends_in_peace(objects: list[Object]) -> list[str]:
    """No request is lost where a pod ends: nobody is sent there any more when it is told to."""
    found = []
    for each in of_kind(objects, "Deployment"):
        container, pod = main_container(each), pod_of(each)
        if component(each) == "api":
            # It serves on by itself, and tells those who keep connections.
            sleep = float(environment(container).get("SUB50_DRAIN_SECONDS", 0))
            least, drain = SPARE_SECONDS, FINISH_SECONDS
        else:
            sleep = (
                container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            )
            age = int(option(container, "--grpc-max-connection-age")) / 1000
            again = int(dict(CHANNEL_OPTIONS)["grpc.dns_min_time_between_resolutions_ms"]) / 1000
            least = DNS_SECONDS + AGE_JITTER * age + again
            drain = int(option(container, "--exit-timeout-secs"))
        if sleep < least:
            found.append(
                f"{name(each)} is told to stop after {sleep} s, with clients until {least}"
            )
        if pod.get("terminationGracePeriodSeconds", 30) < sleep + drain + SPARE_SECONDS:
            found.append(f"{name(each)} is killed before it is through")
        update = each["spec"]["strategy"].get("rollingUpdate", {})
        if update.get("maxUnavailable") != 0:
            found.append(f"{name(each)} has fewer pods while it is updated")
    return found


def option(container: Object, flag: str) -> str:
    """The value of an option among a container's arguments; 0 where it has none."""
    given = [arg for arg in container.get("args", []) if arg.startswith(f"{flag}=")]
    return given[0].partition("=")[2] if given else "0"


def spread(objects: list[Object]) -> list[str]:
    """Pods of one kind go to different machines and zones."""
    found = []
    for each in of_kind(objects, "Deployment"):
        constraints = pod_of(each).get("topologySpreadConstraints", [])
        over = {
            item["topologyKey"]
            for item in constraints
            if item["labelSelector"]["matchLabels"].items() <= labels_of(each).items()
        }
        missing = {"kubernetes.io/hostname", "topology.kubernetes.io/zone"} - over
        found += [f"{name(each)} is not spread over {key}" for key in sorted(missing)]
    return found


def triton_closed(objects: list[Object]) -> list[str]:
    """Triton loads what was delivered and takes no orders: models, shared memory, traces."""
    found = []
    for each in of_kind(objects, "Deployment"):
        if component(each) != "triton":
            continue
        args = main_container(each)["args"]
        for needed in ("--model-control-mode=none", "--strict-readiness=true"):
            if needed not in args:
                found.append(f"{name(each)} lacks {needed}")
        for flag, words in (
            ("--grpc-restricted-protocol", ("model-repository", "shared-memory")),
            ("--http-restricted-api", ("model-repository", "shared-memory", "inference")),
        ):
            closed = ",".join(arg for arg in args if arg.startswith(f"{flag}="))
            found += [f"{name(each)}: {flag} leaves {w} open" for w in words if w not in closed]
    return found


def settings_known(objects: list[Object]) -> list[str]:
    """An API's variables are settings of the service, and it waits for Triton, without an end."""
    known = {f"{ENVIRONMENT_PREFIX}{field.upper()}" for field in Settings.model_fields}
    found = []
    for each in of_kind(objects, "Deployment"):
        if pod_of(each).get("enableServiceLinks") is not False:
            found.append(f"{name(each)} gets variables named after services")
        if component(each) != "api":
            continue
        container = main_container(each)
        given = {item["name"] for item in container["env"]}
        found += [f"{name(each)}: {key} is no setting" for key in sorted(given - known)]
        if environment(container).get("SUB50_TRITON_START_SECONDS") != "inf":
            found.append(f"{name(each)} is started anew while Triton loads")
    return found


POLICIES = (
    settings_known,
    restricted,
    namespace_enforces,
    no_token,
    images_pinned,
    resources_bounded,
    engines_checked,
    threads_fit,
    probed,
    ends_in_peace,
    spread,
    triton_closed,
)
