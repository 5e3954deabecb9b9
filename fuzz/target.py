"""What is fuzzed: an address, and the repository whose control socket listens."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from chaos.errors import ChaosError
from chaos.stack import Stack
from fuzz.errors import FuzzError
from fuzz.keys import CALLER, settings_in
from loadtest.generate import log_tail
from service.settings import ENVIRONMENT_PREFIX

HEALTHY = b'{"input": "A good film."}'


@dataclass(frozen=True)
class Target:
    """A running service on loopback; `key` is what an ordinary client of it sends."""

    port: int
    repository: Path
    host: str = "127.0.0.1"
    key: str = ""

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://{self.host}:{self.port}"

    def fault(self) -> str | None:
        """Ask an ordinary question over a connection of its own; what is wrong with the answer.

        A refusal is no fault: what else goes on may take all there is.
        """
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            headers = {"Content-Type": "application/json"}
            if self.key:
                headers["Authorization"] = f"Bearer {self.key}"
            connection.request("POST", "/v1/classify", HEALTHY, headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"another client gets no answer: {error!r}"
        finally:
            connection.close()
        return None if status in (200, 429) else f"another client gets {status}"


@contextmanager
def running_stack(asks_for_keys: bool = False) -> Iterator[Target]:
    """`sub50 serve` with a private copy of the built engines, for as long as the block runs.

    With `asks_for_keys` it asks for those of `fuzz.keys`, and every page is closed.

    Raises:
        FuzzError: it does not start, or has ended meanwhile.
    """
    with TemporaryDirectory(prefix="sub50-fuzz-") as folder:
        # Here it counts what it answers, not how fast this machine is, and how many a second.
        settings = {"interactive_timeout_ms": "20000", "pages_per_second": "100000"}
        if asks_for_keys:
            settings |= settings_in(Path(folder))
        variables = {
            f"{ENVIRONMENT_PREFIX}{name.upper()}": value for name, value in settings.items()
        }
        stack = Stack(Path(folder), variables)
        try:
            stack.start()
            yield Target(stack.port, stack.repository, key=CALLER if asks_for_keys else "")
            if stack.process.poll() is not None:
                raise FuzzError(f"the service has ended:\n{log_tail(stack.log_path)}")
        except ChaosError as error:
            raise FuzzError(str(error)) from None
        finally:
            stack.stop()
