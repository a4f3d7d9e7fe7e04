"""Holes in a clip's time line: readers of damaged files leave them without a word and go on at the next sound place."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

_STEPS = 1.5  # a longer one is a hole
_MOST_SHARE = 0.02  # of the steps: with more holes the clip has no steady rate, and its gaps say nothing
_FEWEST_FRAMES = 10


@dataclass(frozen=True)
class Hole:
    """Frames that should be there.

    Attributes:
        start_s: time of the last frame before it.
        frames: how many are missing.
    """

    start_s: float
    frames: int


def has_long_step(times_s: Sequence[Fraction | float]) -> bool:
    """Whether a stretch of a clip's time line has a step that would be a hole if the whole line had few of them."""
    steps = [float(after - before) for before, after in itertools.pairwise(times_s)]
    return bool(steps) and max(steps) > _STEPS * statistics.median(steps)


def find_holes(times_s: Sequence[Fraction | float]) -> list[Hole]:
    """Where frames of a clip of steady rate are missing; none where the rate is not steady, or nothing is.

    Args:
        times_s: growing times of the frames, seconds.
    """
    if len(times_s) < _FEWEST_FRAMES:
        return []
    steps = [float(after - before) for before, after in itertools.pairwise(times_s)]
    usual = statistics.median(steps)
    holes = [
        Hole(float(start), max(1, round(step / usual) - 1))
        for start, step in zip(times_s, steps, strict=False)
        if step > _STEPS * usual
    ]
    return holes if len(holes) <= max(1, _MOST_SHARE * len(steps)) else []
