"""Neighbouring frames cut out of clips, with the motion between them: what a network learns steadiness from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from styletransfer.core.errors import InputError
from styletransfer.core.frames import FramePair
from styletransfer.core.pictures import resize_frame
from styletransfer.media.flow import FlowEstimator, Frame, is_cut, luminance, without_partner
from styletransfer.media.video import VideoReader

_LOOKED_AT = 1800  # frames from the start: an hour's clip is not decoded for a few pairs
_SMALLEST = 64  # pixels, the shorter side: smaller ones would be enlarged to blur
_ZOOM = (1.0, 1.5)  # of the frame's shorter side over the crop's
_LEAST_COMPARED = 0.5  # share of a crop's pixels


def find_pairs(
    clip: Path, count: int, side: int, seed: int, tick: Callable[[], None] = lambda: None
) -> list[FramePair]:
    """Pairs spread evenly over the clip's first minute, without cuts, each a crop at a random place and scale.

    Args:
        clip: video file.
        count: pairs to look for; fewer are found in short clips and between cuts.
        side: height and width of a pair, pixels.
        seed: of the crops: the same call gives the same pairs.
        tick: called for each decoded frame; raises to stop.

    Raises:
        InputError: no clip, or its frames are smaller than 64 pixels.
    """
    cutter = _Cutter(side, seed)
    pairs: list[FramePair] = []
    before: Frame | None = None
    with VideoReader(clip) as reader:
        if min(reader.format.width, reader.format.height) < _SMALLEST:
            raise InputError(f"{clip}: its frames are smaller than {_SMALLEST} pixels")
        every = max(2, min(reader.frames or _LOOKED_AT, _LOOKED_AT) // count)
        reader.stop_before(_LOOKED_AT)
        for frame in reader:
            tick()
            if frame.index % every == 0:
                before = frame.frame_hwc
            elif frame.index % every == 1 and before is not None:
                pair = cutter.cut(before, frame.frame_hwc)
                if pair is not None:
                    pairs.append(pair)
                if len(pairs) == count:
                    break
    return pairs


class _Cutter:
    """Cuts squares out of pairs of frames."""

    def __init__(self, side: int, seed: int) -> None:
        self._side = side
        self._rng = np.random.default_rng([seed, 4])
        self._estimate = FlowEstimator("medium")

    def cut(self, first_hwc: Frame, second_hwc: Frame) -> FramePair | None:
        """A square of two frames; ``None`` where another scene begins or hardly a pixel has a partner."""
        height, width = first_hwc.shape[:2]
        shorter = min(height, width)
        wanted = max(self._side, min(shorter, round(self._side * self._rng.uniform(*_ZOOM))))
        size_wh = round(width * wanted / shorter), round(height * wanted / shorter)
        left, top = (int(self._rng.integers(length - self._side + 1)) for length in size_wh)
        first_hwc, second_hwc = (resize_frame(frame, size_wh) for frame in (first_hwc, second_hwc))
        first, second = luminance(first_hwc), luminance(second_hwc)
        there, back = self._estimate(second, first), self._estimate(first, second)
        if is_cut(second, first, there, without_partner(there, back, boundaries=False)):
            return None
        square = slice(top, top + self._side), slice(left, left + self._side)
        compared = ~without_partner(there[square], back[square])  # in the square, too
        if compared.mean() < _LEAST_COMPARED:
            return None
        return FramePair(first_hwc[square].copy(), second_hwc[square].copy(), there[square].copy(), compared)
