"""Run the generator in a process of its own, and read back what it recorded."""

from __future__ import annotations

import http.client
import importlib.util
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from loadtest.errors import LoadTestError
from loadtest.kinds import KINDS, mix_of
from loadtest.plan import Plan
from loadtest.records import Records

LOCUSTFILE = Path(__file__).parent / "locustfile.py"
PLAN_FILE = "plan.json"
RECORDS_FILE = "records.npz"
LOG_FILE = "generator.log"
REACH_SECONDS = 5.0
# Beyond the schedule and the clients' patience: starting Python, making texts, writing records.
START_SECONDS = 60.0
STOP_SECONDS = 5.0
LOG_TAIL_LINES = 15


def generate(plan: Plan, folder: Path) -> Records:
    """Carry out `plan` and return a record of every scheduled request, warm-up included.

    Leaves `plan.json`, `records.npz` and `generator.log` in `folder`, which is made if needed.

    Raises:
        LoadTestError: Locust is not installed, the service cannot be reached, or the generator
            failed. Whatever is raised here, Ctrl-C too, ends the generator.
    """
    require_locust()
    require_reachable(plan.host)
    folder.mkdir(parents=True, exist_ok=True)
    records_path, log_path = folder / RECORDS_FILE, folder / LOG_FILE
    records_path.unlink(missing_ok=True)
    (folder / PLAN_FILE).write_text(plan.to_json(), encoding="utf-8")
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            generator_command(folder / PLAN_FILE),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C comes to this process alone, which ends the generator below.
            start_new_session=True,
        )
        try:
            process.wait(timeout=_longest_seconds(plan))
        except subprocess.TimeoutExpired:
            raise LoadTestError(f"the load generator hangs; its log is {log_path}") from None
        finally:
            stop_process(process, STOP_SECONDS)
    if process.returncode != 0 or not records_path.exists():
        raise LoadTestError(
            f"the load generator failed (exit status {process.returncode}). The end of "
            f"{log_path}:\n{log_tail(log_path)}"
        )
    return Records.load(records_path)


def generator_command(plan_path: Path) -> list[str]:
    """The command that carries out the plan in this file, and puts the records beside it."""
    options = ["--headless", "--only-summary", "--loglevel", "WARNING", "--plan", str(plan_path)]
    return [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *options]


def require_locust() -> None:
    """Raise LoadTestError where Locust is not installed."""
    if importlib.util.find_spec("locust") is None:
        raise LoadTestError("Locust is not installed: pip install 'sub50[loadtest]'")


def require_reachable(url: str) -> None:
    """Ask /readyz, which other servers may not have: any answer but 503 will do.

    Raises:
        LoadTestError: nothing answers there, or it says that it is not ready.
    """
    address = urlsplit(url)
    secure = address.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=REACH_SECONDS)
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except http.client.HTTPException:
        return
    except OSError as error:
        raise LoadTestError(
            f"no service at {url} ({error}); start one with `sub50 serve`, "
            "or say where it is with --host"
        ) from error
    finally:
        connection.close()
    if status == http.client.SERVICE_UNAVAILABLE:
        raise LoadTestError(f"the service at {url} is not ready: GET /readyz answers 503")


def stop_process(process: subprocess.Popen[bytes], patience_seconds: float) -> None:
    """End a process if it still runs: SIGTERM first, SIGKILL when that took too long."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=patience_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def log_tail(path: Path) -> str:
    """The last lines of a log."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-LOG_TAIL_LINES:])


def _longest_seconds(plan: Plan) -> float:
    kinds = mix_of(plan.scenario, plan.texts)
    patience_ms = max(KINDS[name].timeout_ms or plan.timeout_ms for name in kinds)
    return START_SECONDS + plan.total_seconds + patience_ms / 1000
