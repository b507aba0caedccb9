"""Python imports this first where this folder is in PYTHONPATH: it moves the wall clock by SHOP_CLOCK_OFFSET seconds.

So a recording lies in the days of the shop's commits, whenever it is made. The monotonic clock, and with it every
duration and timeout, stays as it is.
"""

import os
import time

_OFFSET_NS = int(os.environ.get("SHOP_CLOCK_OFFSET", "0")) * 1_000_000_000
_time_ns = time.time_ns


def _moved_ns():
    return _time_ns() + _OFFSET_NS


if _OFFSET_NS:
    time.time_ns = _moved_ns
    time.time = lambda: _moved_ns() / 1e9
