"""What keeps texts in memory from being written where others read them."""

from __future__ import annotations

import resource


def forbid_core_dumps() -> None:
    """Write no memory image of this process, or of one that it starts, should it crash.

    The texts of requests are in it. Whoever needs one raises the limit of the running process
    (`prlimit --core=unlimited --pid PID`).
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
