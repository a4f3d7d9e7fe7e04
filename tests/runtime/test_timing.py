import math
import threading
import time

import numpy as np
import pytest

from styletransfer.core.errors import SettingsError
from styletransfer.runtime.timing import RollingStats, percentile, time_calls


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_percentile_equals_numpys():
    values = list(np.random.default_rng(0).random(37))
    for percent in (0, 5, 50, 95, 100):
        assert percentile(values, percent) == pytest.approx(np.percentile(values, percent))


def test_figures_of_the_window_only():
    stats = RollingStats(window=3)
    for seconds in (9.0, 0.010, 0.020, 0.060):
        stats.add(seconds)
    assert stats.count == 4
    assert stats.p50_ms == pytest.approx(20)
    assert stats.p95_ms == pytest.approx(56)


def test_rate_counts_idle_time():
    clock = Clock()
    stats = RollingStats(clock=clock)
    for _ in range(11):
        stats.add(0.001)  # a fast call, ten times a second
        clock.now += 0.1
    assert stats.per_second == pytest.approx(10)


def test_nothing_added_yet():
    stats = RollingStats()
    assert stats.count == 0
    assert stats.per_second == 0
    assert math.isnan(stats.p50_ms)
    assert math.isnan(stats.p95_ms)


def test_readable_while_another_thread_adds():
    stats = RollingStats(window=50)

    def add_many():
        for _ in range(5000):
            stats.add(0.001)

    writer = threading.Thread(target=add_many)
    writer.start()
    while writer.is_alive():
        _ = stats.p95_ms, stats.per_second
    writer.join()
    assert stats.count == 5000


@pytest.mark.flaky(reruns=2)
def test_time_calls_leaves_the_warm_up_out():
    calls = []

    def work():
        calls.append(None)
        time.sleep(0.2 if len(calls) == 1 else 0.002)

    seconds = time_calls(work, repeats=4, warmup=1)
    assert len(calls) == 5
    assert len(seconds) == 4
    assert all(0.002 <= s < 0.2 for s in seconds)


@pytest.mark.parametrize("arguments", [{"repeats": 0, "warmup": 0}, {"repeats": 1, "warmup": -1}])
def test_time_calls_refuses(arguments):
    with pytest.raises(SettingsError):
        time_calls(lambda: None, **arguments)


def test_window_of_one_has_no_rate():
    with pytest.raises(SettingsError, match="at least 2"):
        RollingStats(window=1)
