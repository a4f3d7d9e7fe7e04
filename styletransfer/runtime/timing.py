"""Timing: rolling figures for live display, and timed calls for benchmarks."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from styletransfer.core.errors import SettingsError


def percentile(values: Sequence[float], percent: float) -> float:
    """The ``percent``-th percentile of ``values`` (linear between neighbours); NaN where there are none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    lower = math.floor(position)
    upper = min(lower + 1, len(ordered) - 1)
    return ordered[lower] + (ordered[upper] - ordered[lower]) * (position - lower)


class RollingStats:
    """Durations of the last calls, and how often they come. Safe to share between threads.

    Every figure is NaN (``per_second``: 0) until there is something to say.

    Args:
        window: number of last durations that count, at least 2.
        clock: monotonic clock in seconds; for tests.

    Raises:
        SettingsError: the window is smaller than 2.
    """

    def __init__(self, window: int = 120, clock: Callable[[], float] = time.perf_counter) -> None:
        if window < 2:
            raise SettingsError(f"the window is {window}, it must be at least 2")
        self._clock = clock
        self._lock = threading.Lock()
        self._durations: deque[float] = deque(maxlen=window)
        self._instants: deque[float] = deque(maxlen=window)
        self._count = 0

    def add(self, seconds: float) -> None:
        """Note one duration in seconds, and that it ended now."""
        with self._lock:
            self._durations.append(seconds)
            self._instants.append(self._clock())
            self._count += 1

    @property
    def count(self) -> int:
        """Number of durations ever added (not only those in the window)."""
        return self._count

    @property
    def p50_ms(self) -> float:
        """Median duration within the window, in milliseconds."""
        return 1000 * percentile(self._snapshot(), 50)

    @property
    def p95_ms(self) -> float:
        """95th percentile of the durations within the window, in milliseconds."""
        return 1000 * percentile(self._snapshot(), 95)

    @property
    def per_second(self) -> float:
        """Calls a second, from the instants of the ``add`` calls within the window.

        This is the rate that somebody watching sees, idle time included; it is not the inverse of
        the mean duration. It is 0 until two calls were noted.
        """
        with self._lock:
            if len(self._instants) < 2:
                return 0.0
            elapsed = self._instants[-1] - self._instants[0]
            return (len(self._instants) - 1) / elapsed if elapsed > 0 else 0.0

    def _snapshot(self) -> list[float]:
        with self._lock:
            return list(self._durations)


def time_calls(function: Callable[[], object], *, repeats: int, warmup: int) -> list[float]:
    """Seconds of each of ``repeats`` calls of ``function``, after ``warmup`` calls that do not count.

    Raises:
        SettingsError: ``repeats`` is smaller than 1 or ``warmup`` negative.
    """
    if repeats < 1 or warmup < 0:
        raise SettingsError(f"repeats is {repeats} (at least 1), warmup is {warmup} (at least 0)")
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return seconds
