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
