"""Noise reduction over time, for what a camera sends: each frame is averaged with those before it.

As cameras and encoders do (motion-compensated recursive filters: Brailean, Kleihorst, Efstratiadis, Katsaggelos,
Lagendijk 1995, "Noise Reduction Filters for Dynamic Image Sequences: A Review"): the average so far is brought along
the motion and kept only as far as the new frame looks like it. Noise differs from frame to frame and what is there does
not. A filter of single frames leaves something of the noise, of which a style network makes other strokes every time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from styletransfer.media.flow import (
    DIFFERENCE_PX,
    FlowEstimator,
    Frame,
    carry,
    difference,
    reduced_luminance,
    stays,
    warp,
)
from styletransfer.media.opencv import import_cv2

_SIDE = 320  # longer side of the pictures that motion is computed on, pixels
_SIGMA = 1.0  # evens those out: noise has no motion
_SHARE = 0.85  # largest, of the frames before
# Difference of a new frame at which those before count by 1/e: as much as most of the picture differs, and some.
_FEW_LEVELS, _NOISE_TIMES, _MANY_LEVELS = 3.0, 2.5, 14.0
_MOVED_LEVELS = 3.0  # more difference than this is motion
_MOVED_SHARE = 0.01  # of the pixels; with less, nothing moved
_BETTER_LEVELS = 0.7  # so much must motion explain: some of any noise fits together
_WINDOW = 9  # pixels; where the colours come from that the past is held within
_WINDOW_LEVELS = 3  # and how far it may leave them


class TemporalDenoiser:
    """Averages frames along their motion; one object serves one stream in one thread."""

    memory_frames = int(np.ceil(np.log(1 / 16) / np.log(_SHARE)))
    """How many frames a fresh one has to see to show what one does that saw all: older ones weigh 1/16."""

    def __init__(self) -> None:
        self._cv2 = import_cv2()
        self._flow = FlowEstimator("fast")
        self._small: NDArray[np.uint8] | None = None
        self._mean: NDArray[np.float32] | None = None

    def __call__(self, frame_hwc: Frame) -> Frame:
        """The next frame, RGB uint8 ``[H, W, 3]``; the first one, and one of another size, comes out as it is."""
        small = self._cv2.GaussianBlur(reduced_luminance(frame_hwc, _SIDE), (0, 0), _SIGMA)
        before, past, self._small = self._small, self._mean, small
        present = frame_hwc.astype(np.float32)
        if before is None or past is None or past.shape != present.shape:
            self._mean = present
            return frame_hwc
        flow = self._motion(small, before)
        if flow is not None:
            past = carry(past, flow)
        self._mean = self._blend(frame_hwc, present, past)
        shown: Frame = self._cv2.convertScaleAbs(self._mean)
        return shown

    def _motion(self, small: Any, before: Any) -> NDArray[np.float32] | None:
        """Where the pixels were before; none where nothing moved."""
        still = difference(small, before)
        if float((still > _MOVED_LEVELS).mean()) < _MOVED_SHARE:
            return None
        flow = self._flow(small, before)
        flow[stays(still, difference(small, warp(before, flow)), flow, _BETTER_LEVELS)] = 0
        return flow

    def _blend(self, frame_hwc: Frame, present: NDArray[np.float32], past: Any) -> NDArray[np.float32]:
        cv2 = self._cv2
        apart = cv2.transform(cv2.absdiff(present, past), np.full((1, 3), 1 / 3))  # of colours: grey may hide one
        apart = cv2.dilate(cv2.blur(apart, DIFFERENCE_PX), np.ones((3, 3), np.uint8))
        noise = float(np.median(apart[::4, ::4]))
        if noise > _MANY_LEVELS:  # another scene, or another light
            return present
        usual = min(_FEW_LEVELS + _NOISE_TIMES * noise, _MANY_LEVELS)
        share = _SHARE * cv2.exp(-np.square(apart / usual))
        around = np.ones((_WINDOW, _WINDOW), np.uint8)
        least = cv2.subtract(cv2.erode(frame_hwc, around), _WINDOW_LEVELS)
        most = cv2.add(cv2.dilate(frame_hwc, around), _WINDOW_LEVELS)
        held = cv2.min(cv2.max(past, least.astype(np.float32)), most.astype(np.float32))
        blended: NDArray[np.float32] = cv2.blendLinear(held, present, share, 1 - share)
        return blended
