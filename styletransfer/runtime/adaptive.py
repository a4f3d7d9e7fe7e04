"""The processing size that holds a frame rate: chosen from measured times, one rung of a ladder at a time."""

from __future__ import annotations

import statistics
from collections import deque

from styletransfer.core.errors import SettingsError

_STEP = 0.84  # from one rung to the next: 30 % fewer pixels
_FEWEST_PX = 224  # of the longer side: below it there are strokes and no picture
_MEASURED = 6  # frames whose median decides
_FULL_USE = 0.92  # of a frame's time that the stage may take
_GROW_BELOW = 0.80  # of a frame's time that the next larger rung must be expected to stay under
_HOLD_S = 1.0  # before growing again
_LONGEST_HOLD_S = 60.0


def ladder(size_wh: tuple[int, int], multiple: int = 8, fewest: int = _FEWEST_PX) -> list[tuple[int, int]]:
    """Processing sizes for pictures of ``size_wh``, the full one first, each about 30 % smaller than the last.

    Args:
        size_wh: width and height of the picture, pixels; the first rung is exactly this.
        multiple: both sides of the others are multiples of this many pixels.
        fewest: the longer side does not go below this many pixels.
    """
    rungs = [size_wh]
    scale = _STEP
    while max(size_wh) * scale >= fewest:
        width, height = (max(multiple, round(side * scale / multiple) * multiple) for side in size_wh)
        if (width, height) != rungs[-1] and width <= size_wh[0] and height <= size_wh[1]:
            rungs.append((width, height))
        scale *= _STEP
    return rungs


class SizeController:
    """Chooses a rung of :func:`ladder` so that the stage keeps up with a frame rate.

    It goes down as soon as the median of some frames is over the budget, as many rungs as the pixels ask for, and up
    one rung at a time, when the larger one is expected to stay well within it. A rung that turned out too slow is not
    tried again for a while, longer each time, so the size does not swing.

    Args:
        frames_per_s: the rate to hold.
        multiple: sizes are multiples of this many pixels.

    Raises:
        SettingsError: a rate outside 1..240.
    """

    def __init__(self, frames_per_s: float, multiple: int = 8) -> None:
        if not 1 <= frames_per_s <= 240:
            raise SettingsError(f"--fps is {frames_per_s:g}; allowed: 1 to 240")
        self.budget_s = 1 / frames_per_s
        self._multiple = multiple
        self._full_wh = (0, 0)
        self._rungs: list[tuple[int, int]] = []
        self._rung = 0
        self._recent: deque[float] = deque(maxlen=_MEASURED)
        self._changed_s = 0.0
        self._hold_s: dict[int, float] = {}  # rung -> how long it may not be tried after it failed
        self._failed_s: dict[int, float] = {}  # rung -> when it failed

    def size_for(self, size_wh: tuple[int, int]) -> tuple[int, int]:
        """The size to process pictures of ``size_wh`` at."""
        if size_wh != self._full_wh:
            scale = self._rungs[self._rung][0] / self._full_wh[0] if self._rungs else 1.0
            self._full_wh, self._rungs = size_wh, ladder(size_wh, self._multiple)
            self._rung = min(range(len(self._rungs)), key=lambda i: abs(self._rungs[i][0] / size_wh[0] - scale))
            self._recent.clear()
            self._hold_s.clear()
            self._failed_s.clear()
        return self._rungs[self._rung]

    def note(self, seconds: float, now_s: float) -> None:
        """Take in what the stage took for a picture of the present size, in seconds, at the time ``now_s``."""
        self._recent.append(seconds)
        if len(self._recent) < _MEASURED:
            return
        typical_s = statistics.median(self._recent)
        if typical_s > _FULL_USE * self.budget_s:
            self._shrink(typical_s, now_s)
        elif self._rung > 0 and now_s - self._changed_s >= _HOLD_S:
            larger = self._rung - 1
            expected_s = typical_s * self._pixels(larger) / self._pixels(self._rung)
            failed_s = self._failed_s.get(larger)
            may_try = failed_s is None or now_s - failed_s >= self._hold_s[larger]
            if may_try and expected_s <= _GROW_BELOW * self.budget_s:
                self._move(larger, now_s)

    def _shrink(self, typical_s: float, now_s: float) -> None:
        if self._rung + 1 >= len(self._rungs):
            return
        before = self._hold_s.get(self._rung)
        self._hold_s[self._rung] = 4 * _HOLD_S if before is None else min(2 * before, _LONGEST_HOLD_S)
        self._failed_s[self._rung] = now_s
        target = self._rung + 1
        wanted = self._pixels(self._rung) * _GROW_BELOW * self.budget_s / typical_s
        while target + 1 < len(self._rungs) and self._pixels(target) > wanted:
            target += 1
        self._move(target, now_s)

    def _move(self, rung: int, now_s: float) -> None:
        self._rung, self._changed_s = rung, now_s
        self._recent.clear()

    def _pixels(self, rung: int) -> int:
        width, height = self._rungs[rung]
        return width * height
