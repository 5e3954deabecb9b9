"""A disk that is slow, as a busy share of the network is."""

from __future__ import annotations

import hashlib
import secrets
import subprocess
from contextlib import suppress

from chaos.fault import Fault
from chaos.slow_disk import SlowDisk
from chaos.stack import SUB50, Stack

MODEL = "sentiment"
CALL_SECONDS = 0.5
# What is left of a promotion once the disk is fast again, on a busy machine.
PROMOTED_SECONDS = 60.0


class SlowFiles(Fault):
    """Each call on a file takes half a second while a version is promoted and keys are followed.

    That is for every file of the service: models, keys, temporary ones and its log.
    """

    name = "slow-disk"
    held_seconds = 10.0

    def __init__(self) -> None:
        self._promotion: subprocess.Popen[bytes] | None = None

    def prepare(self, stack: Stack) -> None:
        """Have the service started with such a disk, and with a file of keys to follow."""
        stack.environment.update(SlowDisk(stack.folder).variables())
        keys = stack.folder / "keys"
        # Nobody has it: what counts is that the file is read again and again.
        digest = hashlib.sha256(secrets.token_bytes(32)).hexdigest()
        keys.write_text(f"chaos sha256:{digest}\n", encoding="utf-8")
        keys.chmod(0o600)
        stack.environment["SUB50_MANAGEMENT_KEYS_FILE"] = str(keys)

    def strike(self, stack: Stack) -> None:
        """Make it slow, and have a copy of the engine that serves take over."""
        SlowDisk(stack.folder).take(CALL_SECONDS)
        served = stack.repository / MODEL / "1"
        with stack.log_path.open("ab") as log:
            self._promotion = subprocess.Popen(
                [SUB50, "engines", "promote", MODEL, served, f"--repository={stack.repository}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def mend(self, stack: Stack) -> None:
        """Make it fast again, and let the promotion come to its end."""
        SlowDisk(stack.folder).take(0)
        assert self._promotion is not None
        with suppress(subprocess.TimeoutExpired):
            self._promotion.wait(PROMOTED_SECONDS)
        self._promotion.kill()
        self._promotion.wait()


FAULTS = (SlowFiles(),)
