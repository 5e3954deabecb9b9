"""Wake up at a given time, to some tens of microseconds."""

from __future__ import annotations

import ctypes
import os
import sys
import time

import gevent
from gevent.hub import get_hub

_MONOTONIC = 1
_ABSOLUTE = 1
_NANOSECONDS = 1_000_000_000


class _Timer(ctypes.Structure):
    """`struct itimerspec` on 64-bit Linux: interval and value, each seconds and nanoseconds."""

    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


class Pacer:
    """Lets one greenlet sleep until times of `time.monotonic_ns()`.

    gevent's own timers end on whole milliseconds, rounded up, because its loop waits in
    epoll_wait: each request would leave half a millisecond late on average. A timerfd has the
    clock's resolution. Elsewhere than on Linux, gevent's timers have to do.
    """

    def __init__(self) -> None:
        self._descriptor: int | None = None
        if sys.platform != "linux":
            return
        # Python has this from 3.13 on.
        self._libc = ctypes.CDLL(None, use_errno=True)
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = self._libc.timerfd_create(_MONOTONIC, flags)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._descriptor = descriptor
        self._timer = _Timer(0, 0, 0, 0)
        self._pointer = ctypes.byref(self._timer)
        self._hub = get_hub()
        self._watcher = self._hub.loop.io(descriptor, 1)

    def sleep_until(self, due_ns: int) -> None:
        """Sleep until `time.monotonic_ns()` is `due_ns`; other greenlets run meanwhile."""
        if self._descriptor is None:
            gevent.sleep(max(0, due_ns - time.monotonic_ns()) / _NANOSECONDS)
            return
        self._timer.seconds, self._timer.nanoseconds = divmod(due_ns, _NANOSECONDS)
        self._libc.timerfd_settime(self._descriptor, _ABSOLUTE, self._pointer, None)
        self._hub.wait(self._watcher)

    def close(self) -> None:
        """Give the timer back."""
        if self._descriptor is not None:
            self._watcher.close()
            os.close(self._descriptor)
            self._descriptor = None
