"""The embedded Triton: started beside us, stopped with us."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from service.errors import ServeError
from service.triton import supervised, supervisor
from service.triton.command import (
    ADDRESS,
    CONTROL_METADATA_KEY,
    Launch,
    arguments,
    environment,
    make_scratch,
)
from service.triton.configured import ConfiguredModels
from service.triton.installation import find_installation
from service.triton.ports import reserve_ports
from service.triton.probe import Probe
from service.triton.reasons import log_tail, not_served, plain_reason
from service.triton.repository import refused_versions

# To gRPC an endless timeout is one that has passed.
LONGEST_LOAD_SECONDS = 86_400.0


class NotStarted(RuntimeError):
    """What was asked for is known once Triton is started."""

    def __init__(self) -> None:
        super().__init__("the embedded Triton is not started")


class EmbeddedTriton:
    """One `tritonserver` of the nvidia-pytriton package, with the models of a repository.

    `models` are the ones to load, by default all; `configured` says what with. With `may_stand_in`,
    a model whose GPU cannot be used when it is loaded is served by its engine for processors.

    Without ports nothing but a Unix socket leads to it, which our user alone reaches: metrics and
    the HTTP endpoint are closed. A port of 0 is any free one; `address`, where ports are, is one of
    loopback. Clients connect again after `connection_age_seconds`, and then ask for addresses anew;
    None is never. Triton's log goes to `log_path`, by default to a file that is removed at the end.
    `niceness`, 0 to 19, is how far it stands back for others who want a core.

    All methods block; none may be called from two threads at a time.
    """

    def __init__(
        self,
        repository: Path,
        models: Sequence[str] | None = None,
        *,
        grpc_port: int | None = None,
        metrics_port: int | None = None,
        http_port: int | None = None,
        address: str = ADDRESS,
        connection_age_seconds: float | None = None,
        start_timeout_seconds: float = 60.0,
        log_path: Path | None = None,
        niceness: int = 0,
        may_stand_in: bool = False,
    ) -> None:
        self.repository = repository
        self.configured = ConfiguredModels(repository, models, may_stand_in=may_stand_in)
        self.start_timeout_seconds = start_timeout_seconds
        asked = {"grpc": grpc_port, "metrics": metrics_port, "http": http_port}
        self._asked_ports = {name: port for name, port in asked.items() if port is not None}
        self._address = address
        self._connection_age_seconds = connection_age_seconds
        self._log_path = log_path
        self._niceness = niceness
        self._launch: Launch | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._called_off = False

    def __enter__(self) -> EmbeddedTriton:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def grpc_target(self) -> str:
        """Where the client finds it: a Unix socket, another at each start, or HOST:PORT."""
        return self._started.grpc_target

    @property
    def metrics_url(self) -> str | None:
        """Triton's own metrics, in the Prometheus format; None if they are closed."""
        port = self._started.metrics_port
        return None if port is None else f"http://{self._address}:{port}/metrics"

    @property
    def http_url(self) -> str | None:
        """Triton's HTTP endpoint; None if it is closed."""
        port = self._started.http_port
        return None if port is None else f"http://{self._address}:{port}"

    @property
    def control_metadata(self) -> tuple[tuple[str, str], ...]:
        """gRPC metadata that allows RepositoryModelLoad and RepositoryModelUnload."""
        return ((CONTROL_METADATA_KEY, self._started.control_token),)

    @property
    def scratch(self) -> Path:
        """The private folder that it runs in, which is the temporary one of its processes too."""
        return self._started.scratch

    @property
    def log_path(self) -> Path:
        """Triton's log: errors only, nothing of what is asked."""
        return self._log_path or self._started.scratch / "triton.log"

    @property
    def pid(self) -> int:
        """The process that keeps Triton; Triton and its stubs are below it."""
        if self._process is None:
            raise NotStarted
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether Triton runs with all its models: it is ended when a model's process dies."""
        return self._process is not None and self._process.poll() is None

    @property
    def stand_ins(self) -> Mapping[str, str]:
        """Why models are served by their engines for processors, by name."""
        return self.configured.stand_ins

    def log_end(self) -> str:
        """The last telling lines of its log."""
        return log_tail(self.log_path) if self._launch is not None else "(there is none)"

    def poll(self) -> int | None:
        """None while Triton runs, its exit status once it has ended."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start Triton and return when every model has answered a request.

        Raises ServeError, with the next step, if it cannot; then nothing is left running.
        """
        if self._process is not None:
            raise RuntimeError("the embedded Triton is started already")
        self.configured.read(self.start_timeout_seconds)
        reasons = self._begin(self.configured.versions)
        if reasons:
            self.stop()
            raise ServeError(not_served(reasons))

    def revive(self, versions: Mapping[str, str]) -> dict[str, str]:
        """End what is left of Triton, and start it anew with one version of each model named.

        It ends without grace. A port of 0 may be another than before. Returns the reasons of models
        that cannot be loaded; the others are.

        Raises ServeError if Triton does not start; then nothing is left running.
        """
        self.stop(grace=False)
        refused, allowed = self._checked(versions)
        return refused | self._begin(allowed)

    def load(self, versions: Mapping[str, str]) -> dict[str, str]:
        """Load one version of each model named; returns the reasons of those that cannot be."""
        deadline = time.monotonic() + self.start_timeout_seconds
        refused, allowed = self._checked(versions)
        with Probe(self.grpc_target) as probe:
            return refused | self._load_models(probe, allowed, deadline)

    def call_off(self) -> None:
        """Have a start that is under way in another thread fail at once, and any later one."""
        self._called_off = True
        process = self._process
        if process is not None:
            process.kill()

    def stop(self, *, grace: bool = True) -> None:
        """End Triton and its stubs, in bounded time; remove its shared memory and files.

        Without `grace` it is killed, with whatever it is busy with.
        """
        process, launch = self._process, self._launch
        self._process = self._launch = None
        if process is not None:
            supervised.end(process, grace)
        if launch is not None:
            supervisor.remove_shared_memory(launch.shared_memory_prefix)
            shutil.rmtree(launch.scratch, ignore_errors=True)

    @property
    def _started(self) -> Launch:
        if self._launch is None:
            raise NotStarted
        return self._launch

    def _plan(self, ports: dict[str, int], scratch: Path) -> Launch:
        age = self._connection_age_seconds
        return Launch(
            grpc_port=ports.get("grpc"),
            metrics_port=ports.get("metrics"),
            http_port=ports.get("http"),
            scratch=scratch,
            address=self._address,
            connection_age_ms=None if age is None else round(1000 * age),
            niceness=self._niceness,
        )

    def _checked(self, versions: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Why some may not be loaded from what lies there now, by model, and the others."""
        refused = refused_versions(self.repository, self.configured.of(versions))
        return refused, {m: v for m, v in versions.items() if m not in refused}

    def _begin(self, versions: Mapping[str, str]) -> dict[str, str]:
        """Start Triton with these; returns the reasons of models that cannot be loaded."""
        installation = find_installation()
        ports = reserve_ports(self._address, self._asked_ports)
        scratch = make_scratch(installation, self.repository)
        self._launch = self._plan(ports, scratch)
        try:
            self._process = supervised.spawn(
                self._launch,
                arguments(installation, self._launch),
                environment(installation, scratch),
                self.log_path,
            )
            deadline = time.monotonic() + self.start_timeout_seconds
            with Probe(self.grpc_target) as probe:
                self._wait_until_up(probe, deadline)
                return self._load_models(probe, versions, deadline)
        except BaseException:
            self.stop(grace=False)
            raise

    def _wait_until_up(self, probe: Probe, deadline: float) -> None:
        while probe.server_id() != self._started.server_id:
            if not self.alive or self._called_off:
                raise ServeError(self._failure("Triton ended while it started"))
            if time.monotonic() > deadline:
                raise ServeError(self._failure(f"Triton {self._too_late}"))
            time.sleep(0.05)

    def _load_models(
        self, probe: Probe, versions: Mapping[str, str], deadline: float
    ) -> dict[str, str]:
        """Load models, with stand-ins where that is for want of a GPU; returns the reasons of those
        that fail."""
        reasons = self._load_once(probe, self.configured.of(versions), deadline)
        instead = {model: versions[model] for model in self.configured.stand_in(reasons)}
        if not instead:
            return reasons
        left = {model: reason for model, reason in reasons.items() if model not in instead}
        refused, allowed = self._checked(instead)
        return left | refused | self._load_once(probe, self.configured.of(allowed), deadline)

    def _load_once(self, probe: Probe, configs: dict[str, str], deadline: float) -> dict[str, str]:
        """Load models and have each answer one request; returns the reasons of those that fail."""
        remaining_seconds = min(max(deadline - time.monotonic(), 0), LONGEST_LOAD_SECONDS)
        reasons = probe.load(configs, self.control_metadata, remaining_seconds)
        for model in configs:
            reason = None if model in reasons else probe.first_answer(model)
            if reason is not None:
                reasons[model] = reason
        if not self.alive:
            raise ServeError(self._failure("Triton ended while it loaded the models"))
        if time.monotonic() > deadline:
            raise ServeError(self._failure(f"Triton {self._too_late}"))
        models = str(self._started.scratch / "models")
        return {
            model: plain_reason(reason).replace(models, str(self.repository))
            for model, reason in reasons.items()
        }

    @property
    def _too_late(self) -> str:
        return (
            f"was not ready in {self.start_timeout_seconds:g} s; "
            f"if this machine is slow, or a disk of its, set SUB50_TRITON_START_SECONDS higher"
        )

    def _failure(self, what: str) -> str:
        return f"{what}. The end of its log:\n{log_tail(self.log_path)}"
