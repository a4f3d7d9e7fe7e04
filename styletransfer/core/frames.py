"""The frame that travels from a source through the stylizer to a sink."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a video or a camera, with its exact place in time.

    Attributes:
        frame_hwc: RGB uint8 ``[H, W, 3]``, C-contiguous.
        pts_s: presentation time in seconds, exact; live sources count from their first frame.
        duration_s: how long the frame is shown, in seconds; 0 where unknown.
        index: number of the frame in its source, from 0.
        grabbed_s: ``time.perf_counter()`` when a camera delivered the frame; 0 for files.
    """

    frame_hwc: NDArray[np.uint8]
    pts_s: Fraction
    duration_s: Fraction = Fraction(0)
    index: int = 0
    grabbed_s: float = 0.0

    def with_picture(self, frame_hwc: NDArray[np.uint8]) -> Frame:
        """The same moment with another picture (RGB uint8 ``[H, W, 3]``, of any size)."""
        return replace(self, frame_hwc=frame_hwc)


@dataclass(frozen=True, eq=False)
class FramePair:
    """Two neighbouring frames of a clip and the motion between them.

    Attributes:
        first_hwc: RGB uint8 ``[H, W, 3]``.
        second_hwc: the next frame, same shape.
        flow_hw2: float32 ``[H, W, 2]``: where, in pixels to the right and down, the second's pixels are in the first.
        compared_hw: bool ``[H, W]``: pixels of the second that the first shows, too.
    """

    first_hwc: NDArray[np.uint8]
    second_hwc: NDArray[np.uint8]
    flow_hw2: NDArray[np.float32]
    compared_hw: NDArray[np.bool_]
