"""The embedded Triton: started on loopback beside us, stopped with us."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from service.errors import ServeError
from service.triton import supervisor
from service.triton.command import (
    ADDRESS,
    CONTROL_METADATA_KEY,
    EXIT_TIMEOUT_SECONDS,
    Launch,
    arguments,
    environment,
    make_scratch,
)
from service.triton.installation import find_installation
from service.triton.ports import reserve_ports
from service.triton.probe import Probe
from service.triton.repository import (
    check_repository,
    embedded_config,
    instances_of,
    models_in,
    served_version,
)

# Triton gets a little longer than it gives itself, and the supervisor longer than that.
GRACE_SECONDS = EXIT_TIMEOUT_SECONDS + 2.0
STOP_SECONDS = GRACE_SECONDS + supervisor.ORPHANS_END_SECONDS + 1.0
# To gRPC an endless timeout is one that has passed.
LONGEST_LOAD_SECONDS = 86_400.0
LOG_TAIL_LINES = 12
LOG_TAIL_BYTES = 16_384
# Borders of tables, and what Triton says of every machine without a GPU.
LOG_NOISE = ("+--", "CudaDriverHelper")


class EmbeddedTriton:
    """One `tritonserver` of the nvidia-pytriton package, with the models of a repository.

    `models` are the ones to load, by default all. A port of 0 is any free one; `http_port` None
    keeps Triton's HTTP endpoint closed, since everything here speaks gRPC. `address` is one of
    loopback. Clients connect again after `connection_age_seconds`, and then ask for addresses
    anew; None is never. Triton's log goes to `log_path`, by default to a file that is removed at
    the end.

    All methods block; none may be called from two threads at a time.
    """

    def __init__(
        self,
        repository: Path,
        models: Sequence[str] | None = None,
        *,
        grpc_port: int = 0,
        metrics_port: int = 0,
        http_port: int | None = None,
        address: str = ADDRESS,
        connection_age_seconds: float | None = None,
        start_timeout_seconds: float = 60.0,
        log_path: Path | None = None,
    ) -> None:
        self.repository = repository
        self.models = list(models) if models is not None else models_in(repository)
        # What each model was loaded with, as JSON.
        self.configs: dict[str, str] = {}
        self.start_timeout_seconds = start_timeout_seconds
        self._asked_ports = {"grpc": grpc_port, "metrics": metrics_port}
        if http_port is not None:
            self._asked_ports["http"] = http_port
        self._address = address
        self._connection_age_seconds = connection_age_seconds
        self._log_path = log_path
        self._launch: Launch | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> EmbeddedTriton:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def instances(self) -> dict[str, int]:
        """Calls of each model that run side by side, once it has been started."""
        return {model: instances_of(config) for model, config in self.configs.items()}

    @property
    def grpc_target(self) -> str:
        """Where the client finds it, as HOST:PORT."""
        return f"{self._address}:{self._started.grpc_port}"

    @property
    def metrics_url(self) -> str:
        """Triton's own metrics, in the Prometheus format."""
        return f"http://{self._address}:{self._started.metrics_port}/metrics"

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
            raise RuntimeError("the embedded Triton is not started")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether Triton runs with all its models: it is ended when a model's process dies."""
        return self._process is not None and self._process.poll() is None

    def poll(self) -> int | None:
        """None while Triton runs, its exit status once it has ended."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start Triton and return when every model has answered a request.

        Raises ServeError, with the next step, if it cannot; then nothing is left running.
        """
        if self._process is not None:
            raise RuntimeError("the embedded Triton is started already")
        installation = find_installation()
        check_repository(self.repository, self.models)
        ports = reserve_ports(self._address, self._asked_ports)
        scratch = make_scratch(installation, self.repository)
        self._launch = self._plan(ports, scratch)
        try:
            self._process = self._spawn(
                arguments(installation, self._launch), environment(installation, scratch)
            )
            self._wait_until_ready(time.monotonic() + self.start_timeout_seconds)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End Triton and its stubs, in bounded time; remove its shared memory and files."""
        process, launch = self._process, self._launch
        self._process = self._launch = None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()  # the supervisor's sign to end
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.returncode < 0:  # killed, so it may have left something of its group
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if launch is not None:
            supervisor.remove_shared_memory(launch.shared_memory_prefix)
            shutil.rmtree(launch.scratch, ignore_errors=True)

    @property
    def _started(self) -> Launch:
        if self._launch is None:
            raise RuntimeError("the embedded Triton is not started")
        return self._launch

    def _plan(self, ports: dict[str, int], scratch: Path) -> Launch:
        age = self._connection_age_seconds
        return Launch(
            grpc_port=ports["grpc"],
            metrics_port=ports["metrics"],
            http_port=ports.get("http"),
            scratch=scratch,
            address=self._address,
            connection_age_ms=None if age is None else round(1000 * age),
        )

    def _spawn(self, command: list[str], variables: dict[str, str]) -> subprocess.Popen[bytes]:
        plan = {
            "command": command,
            "log_path": str(self.log_path.absolute()),
            "parent_pid": os.getpid(),
            "grace_seconds": GRACE_SECONDS,
            "shared_memory_prefix": self._started.shared_memory_prefix,
            "scratch": str(self._started.scratch),
        }
        # A session of its own: Ctrl-C in the terminal is for us, and we end Triton in order. Where
        # the kernel shares cores out by sessions, the service also keeps its share beside engines
        # that take all they can get.
        return subprocess.Popen(
            [sys.executable, "-I", "-S", supervisor.__file__, json.dumps(plan)],
            env=variables,
            cwd=self._started.scratch,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def _wait_until_ready(self, deadline: float) -> None:
        with Probe(self.grpc_target) as probe:
            while probe.server_id() != self._started.server_id:
                if not self.alive:
                    raise ServeError(self._failure("Triton ended while it started"))
                if time.monotonic() > deadline:
                    raise ServeError(self._failure(f"Triton {self._too_late}"))
                time.sleep(0.05)
            self._load_models(probe, deadline)

    def _load_models(self, probe: Probe, deadline: float) -> None:
        """Load every model and have it answer one request, or raise ServeError with the reason."""
        self.configs = {model: self._config(model) for model in self.models}
        remaining_seconds = min(max(deadline - time.monotonic(), 0), LONGEST_LOAD_SECONDS)
        reasons = probe.load(self.configs, self.control_metadata, remaining_seconds)
        for model in self.models if not reasons else ():
            reason = probe.first_answer(model)
            if reason is not None:
                reasons[model] = reason
        if not self.alive:
            raise ServeError(self._failure("Triton ended while it loaded the models"))
        if time.monotonic() > deadline:
            raise ServeError(self._failure(f"Triton {self._too_late}"))
        if reasons:
            models = str(self._started.scratch / "models")
            lines = (
                f"Model {model} cannot be served: {plain_reason(reason)}"
                for model, reason in reasons.items()
            )
            told = "\n".join(lines).replace(models, str(self.repository))
            raise ServeError(f"{told}\nBuild it again with `sub50 engines build {min(reasons)}`.")

    def _config(self, model: str) -> str:
        folder = self.repository / model
        version = served_version(folder)
        assert version is not None  # check_repository has seen it
        return embedded_config(folder, [version])

    @property
    def _too_late(self) -> str:
        return (
            f"was not ready in {self.start_timeout_seconds:g} s; "
            f"if this machine is slow, set SUB50_TRITON_START_SECONDS higher"
        )

    def _failure(self, what: str) -> str:
        return f"{what}. The end of its log:\n{log_tail(self.log_path)}"


def plain_reason(details: str) -> str:
    """Triton's account of a model's failure, without its own wording and stack trace."""
    reason = details.partition("\n\nAt:")[0]
    for opening in ("TritonModelException: ", "UNAVAILABLE state: "):
        reason = reason.rpartition(opening)[2]
    return reason.strip(" ;\n")


def log_tail(path: Path) -> str:
    """The last telling lines of a log."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return "(nothing was written)"
    lines = [line.strip() for line in text.splitlines()]
    telling = [line for line in lines if line and not any(noise in line for noise in LOG_NOISE)]
    return "\n".join(telling[-LOG_TAIL_LINES:]) or "(nothing was written)"
