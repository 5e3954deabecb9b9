"""A running `sub50 serve` of the project's own engines, to be broken."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from chaos.errors import ChaosError
from chaos.processes import command_of, descendants_of, program_of, running_below, still_running
from loadtest.generate import log_tail
from loadtest.stack import free_port, is_ready

ROOT = Path(__file__).parent.parent
ENGINES = ROOT / "model_repository"
SUB50 = Path(sys.executable).with_name("sub50")
HOST = "127.0.0.1"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
READY_SECONDS = 120.0
# Requests under way get ten seconds after the listener has closed, and Triton a few more.
STOP_SECONDS = 60.0
POLL_SECONDS = 0.1
TRITON = "tritonserver"
SUPERVISOR = "supervisor.py"
STUB = "triton_python_backend_stub"
MODEL_IN_PATH = re.compile(r"/models/([^/]+)/")


class Stack:
    """One service in a folder of its own, with a private copy of the engines.

    `environment` are variables for it. The process ids of Triton and of the stubs are looked up at
    each call: they change when Triton is started anew.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.repository = folder / "models"
        self.log_path = folder / "service.log"
        # Of its own, so that what it leaves there can be told from what others have.
        self.temporary = folder / "tmp"
        self.port = free_port()
        self.environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://{HOST}:{self.port}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process of `sub50 serve`."""
        if self._process is None:
            raise RuntimeError("the stack is not started")
        return self._process

    @property
    def pid(self) -> int:
        """The process that answers HTTP."""
        return self.process.pid

    @property
    def supervisor_pid(self) -> int:
        """The small process that keeps Triton."""
        return self._only(
            SUPERVISOR, lambda pid: any(Path(a).name == SUPERVISOR for a in command_of(pid))
        )

    @property
    def triton_pid(self) -> int:
        """Triton's server."""
        return self._only(TRITON, lambda pid: program_of(pid) == TRITON)

    @property
    def stub_pids(self) -> dict[str, int]:
        """The process that runs each model's engine; the last one, where there are several."""
        found = {}
        for pid in sorted(running_below(self.pid, STUB)):
            model = MODEL_IN_PATH.search(" ".join(command_of(pid)))
            if model:
                found[model[1]] = pid
        return found

    def _only(self, what: str, fits: Callable[[int], bool]) -> int:
        found = [pid for pid in sorted(descendants_of(self.pid)) if fits(pid)]
        if not found:
            raise ChaosError(f"no {what} runs below the service; see {self.log_path}")
        return found[0]

    def start(self) -> None:
        """Copy the engines, start the service and wait until it is ready.

        Raises:
            ChaosError: it ended, or was not ready in time; or engines are not built.
        """
        copy_engines(ENGINES, self.repository)
        self.temporary.mkdir(exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(SUB50),
                    "serve",
                    f"--port={self.port}",
                    f"--repository={self.repository}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | self._own_variables() | self.environment,
                # Ctrl-C is for the trial, which ends this in order.
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_SECONDS
        while not is_ready(self.port):
            if self.process.poll() is not None:
                status, tail = self.process.returncode, log_tail(self.log_path)
                raise ChaosError(f"`sub50 serve` ended with status {status}:\n{tail}")
            if time.monotonic() > deadline:
                raise ChaosError(f"`sub50 serve` was not ready in time; see {self.log_path}")
            time.sleep(POLL_SECONDS)

    def _own_variables(self) -> dict[str, str]:
        # Once the load is over, nobody sends it anything.
        return {"SUB50_HOST": HOST, "TMPDIR": str(self.temporary), "SUB50_DRAIN_SECONDS": "0"}

    def files(self) -> list[str]:
        """What it has outside its process: temporary folders, and regions of shared memory."""
        regions = SHARED_MEMORY.glob(f"sub50-{self.pid}-*")
        return sorted(str(path) for path in (*self.temporary.iterdir(), *regions))

    def signal(self, number: int) -> None:
        """Send a signal to the process that answers HTTP."""
        self.process.send_signal(number)

    def stop(self) -> int | None:
        """End it with SIGTERM if it still runs; its exit status, None where it had to be killed."""
        if self._process is None:
            return None
        below = descendants_of(self.pid)
        if self.process.poll() is None:
            # One that a fault has stopped would not see the signal.
            for pid in (self.pid, *below):
                if still_running([pid]):
                    os.kill(pid, signal.SIGCONT)
            self.signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None


def copy_engines(source: Path, target: Path) -> None:
    """Copy what is served of a repository: configurations, labels and built versions.

    Raises:
        ChaosError: it holds no engine.
    """
    if not list(source.glob("*/[0-9]*/model.onnx")):
        raise ChaosError(f"{source} holds no engine; build them with `make setup`")
    for model in sorted(path.parent for path in source.glob("*/config.pbtxt")):
        shutil.copytree(model, target / model.name, dirs_exist_ok=True)
    for state in source.glob("*.served.json"):
        shutil.copy(state, target)
