"""Settings that only a measurement can choose: taken once, and remembered for this machine."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_SETTLE_S = 0.02  # onnxruntime's threads spin for a while after a run and would take the next one's cores
CLEARLY = 0.97
"""A variant replaces the plainer one before it if it takes less than this share of its time."""


def least_seconds(runs: Mapping[str, Callable[[], object]], rounds: int = 7) -> dict[str, float]:
    """The least time of each of the calls, in seconds; they take turns, so that a busy moment meets all of them."""
    times: dict[str, float] = {}
    for turn in range(rounds + 1):  # the first warms up
        for name, run in runs.items():
            if len(runs) > 1:
                time.sleep(_SETTLE_S)
            start = time.perf_counter()
            run()
            seconds = time.perf_counter() - start
            if turn:
                times[name] = min(seconds, times.get(name, seconds))
    return times


def choose(seconds: Mapping[str, float]) -> str:
    """The fastest of the names, in whose order a later one must be clearly faster than what was chosen before it."""
    names = list(seconds)
    chosen = names[0]
    for name in names[1:]:
        if seconds[name] < CLEARLY * seconds[chosen]:
            chosen = name
    return chosen


def thread_counts(cores: int) -> list[int]:
    """Numbers of threads worth trying on a machine with so many logical processors, the largest first."""
    return sorted({cores, max(1, cores * 3 // 4), max(1, cores // 2), max(1, cores // 4), 1}, reverse=True)


def recall(what: str) -> Any:
    """What was remembered under a name on this machine with this onnxruntime, or None."""
    return _read().get(_here(), {}).get(what)


def remember(what: str, value: Any) -> None:
    """Keep a JSON value under a name; where nothing can be written it is measured again next time."""
    from styletransfer.core.errors import OutputError
    from styletransfer.core.files import write_bytes

    data = _read()
    data.setdefault(_here(), {})[what] = value
    with contextlib.suppress(OutputError):
        write_bytes(_file(), (json.dumps(data, indent=2, sort_keys=True) + "\n").encode())


def _file() -> Path:
    from styletransfer.core.download import cache_dir

    return cache_dir() / "tuning.json"


def _read() -> dict[str, dict[str, Any]]:
    try:
        data = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    is_ours = isinstance(data, dict) and all(isinstance(value, dict) for value in data.values())
    return data if is_ours else {}


def _here() -> str:
    """Processor, number of cores and version of onnxruntime: what a measurement holds for."""
    import onnxruntime

    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{platform.node()}, {name}, {os.cpu_count()} cores, onnxruntime {onnxruntime.__version__}"
