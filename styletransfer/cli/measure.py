"""What `bench` and the benchmarks measure: whole calls in turn, stages, the share of what the machine can do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from styletransfer.runtime.stylizer import Stylizer

SETTLE_S = 0.1  # onnxruntime's threads spin for a while after a run and would take the next session's cores
_STAGE_ROUNDS = 15
_LEAST_FRAMES = 5


def noise_frame(size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """RGB uint8 ``[H, W, 3]`` of noise: no kernel is faster or slower for what it shows."""
    import numpy as np

    width, height = size_wh
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def measure_interleaved(
    stylizers: Sequence[Stylizer], size_wh: tuple[int, int], *, seconds: float, repeats: int | None
) -> list[list[float]]:
    """Seconds of each frame for each stylizer; they take turns, and every round begins with another one.

    Args:
        stylizers: what to measure.
        size_wh: width and height of the frame in pixels.
        seconds: time to spend on each, at least 5 frames; without ``repeats``.
        repeats: number of frames each.
    """
    frame_hwc = noise_frame(size_wh)
    for stylizer in stylizers:
        stylizer.warm_up(size_wh[1], size_wh[0])
        stylizer(frame_hwc)
    times: list[list[float]] = [[] for _ in stylizers]
    deadline = time.perf_counter() + (seconds + SETTLE_S * _LEAST_FRAMES) * len(stylizers)
    rounds = 0
    while rounds < (repeats or _LEAST_FRAMES) or (repeats is None and time.perf_counter() < deadline):
        for turn in range(len(stylizers)):
            index = (rounds + turn) % len(stylizers)
            if len(stylizers) > 1:
                time.sleep(SETTLE_S)
            start = time.perf_counter()
            stylizers[index](frame_hwc)
            times[index].append(time.perf_counter() - start)
        rounds += 1
    return times


def stage_times(stylizer: Stylizer, size_wh: tuple[int, int], rounds: int = _STAGE_ROUNDS) -> dict[str, float]:
    """Median milliseconds of each stage of a call, of the whole ``call``, and of a bare ``session.run``.

    All in one run, in turn. Empty for files made by others, which have other stages.
    """
    from styletransfer.core.errors import SettingsError
    from styletransfer.runtime.timing import percentile

    frame_hwc = noise_frame(size_wh)
    try:
        stages = dict(stylizer.stages(frame_hwc))
    except SettingsError:
        return {}
    stages["call"] = lambda: stylizer(frame_hwc)
    times: dict[str, list[float]] = {name: [] for name in stages}
    for _ in range(rounds):
        for name, stage in stages.items():
            times[name].append(_seconds(stage))
    return {name: round(1000 * percentile(taken, 50), 4) for name, taken in times.items()}


def gmacs(stylizer: Stylizer, size_wh: tuple[int, int]) -> float | None:
    """Billions of multiply-adds for one frame; None where the file does not run at this size."""
    from styletransfer.core.errors import ModelError

    try:
        return stylizer.count_macs(size_wh[1], size_wh[0]) / 1e9
    except ModelError:  # a foreign file of another fixed size
        return None


def tune_threads(path: Path, size_wh: tuple[int, int], cores: int) -> dict[int, float]:
    """Least milliseconds of a frame on the CPU for each number of threads worth trying; the fastest is remembered."""
    from styletransfer.runtime import tuning
    from styletransfer.runtime.stylizer import Stylizer

    frame_hwc = noise_frame(size_wh)
    runs: dict[str, Callable[[], Any]] = {}
    for threads in tuning.thread_counts(cores):
        runs[str(threads)] = _call(Stylizer(path, "cpu", threads=threads), frame_hwc)
    seconds = tuning.least_seconds(runs, rounds=15)
    best = int(tuning.choose(seconds))
    tuning.remember("threads", None if best == cores else best)
    return {int(threads): round(1000 * taken, 3) for threads, taken in seconds.items()}


def _call(stylizer: Stylizer, frame_hwc: NDArray[np.uint8]) -> Callable[[], Any]:
    return lambda: stylizer(frame_hwc)


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
