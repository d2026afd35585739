"""The one door to time: seconds on a clock that never steps, and goes on while a machine is suspended."""

from __future__ import annotations

import time
from typing import Callable

Clock = Callable[[], float]


def _choose() -> Clock:
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    if boot is not None:
        try:
            time.clock_gettime(boot)
        except OSError:
            return time.monotonic
        return lambda: time.clock_gettime(boot)
    return time.monotonic


now: Clock = _choose()
