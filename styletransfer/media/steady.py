"""Steady output: each stylized frame is blended with the one before it, brought along by the optical flow.

Ruder et al. 2016 without their optimisation: what a pixel showed in the frame before is found by flow between the
*input* frames and kept only where the way there and back agree and the input looks the same. It is held within the
colours that the present stylized frame has around that pixel (Karis: High Quality Temporal Supersampling, SIGGRAPH
2014), so that nothing stays behind where something moved away. Strokes that do not meet average to grey, so the blend
gets back the local contrast of the stylized frame: measured, where blending of textures computes it (Heitz & Neyret:
High-Performance By-Example Noise using a Histogram-Preserving Blending Operator, 2018).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from styletransfer.core.errors import SettingsError
from styletransfer.media.flow import (
    FlowEstimator,
    Frame,
    carry,
    difference,
    is_cut,
    luminance,
    reduced_luminance,
    stays,
    warp,
    without_partner,
)
from styletransfer.media.opencv import import_cv2

_FLOW_SIDE = 480  # longer side of the pictures that flow is computed on, pixels
_LARGEST_SHARE = 0.8  # of what was shown before, at full strength
_BETTER_LEVELS = 0.3  # so much must motion explain that standing still does not
_STILL_LEVELS = 6.0  # what differs less stands still where its motion is not certain: walls, skies
_DIFFERENT_LEVELS = 14.0  # grey levels of the input's difference at which its past counts by 1/e
_NEIGHBOURHOOD = 9  # pixels; where the colours come from that the past is held within
_STROKE = 5  # pixels; finer than this is what blending washes out
_LARGEST_GAIN = 2.0  # that gives it back
_LONGEST_SHARE = 0.9  # of the past with that gain: the past must fade, or late and early beginnings never meet


class Smoother:
    """Blends stylized frames along the motion of their input frames; one object serves one clip in one thread.

    Args:
        strength: 0 (nothing happens) to 1 (as steady as it goes).

    Raises:
        SettingsError: ``strength`` outside 0..1.
    """

    def __init__(self, strength: float = 0.7) -> None:
        if not 0.0 <= strength <= 1.0:
            raise SettingsError(
                f"--smooth is {strength:g}; it goes from 0 (every frame by itself) to 1 (as steady as it goes)"
            )
        self.strength = strength
        self._cv2 = import_cv2()
        self._flow = FlowEstimator("fast")
        self._small: NDArray[np.uint8] | None = None
        self._shown: Frame | None = None

    @property
    def memory_frames(self) -> int:
        """How many frames a fresh smoother has to see to show what one does that saw all: older ones weigh 1/16."""
        share = _LARGEST_SHARE * self.strength
        share = min(share * np.hypot(share, 1 - share) ** -1, _LONGEST_SHARE)  # strokes that have nothing in common
        return int(np.ceil(np.log(1 / 16) / np.log(share))) if share else 0

    def __call__(self, frame_hwc: Frame, stylized_hwc: Frame) -> Frame:
        """The next frame.

        Args:
            frame_hwc: the input frame, RGB uint8 ``[H, W, 3]``.
            stylized_hwc: what was made of it, RGB uint8 of any size.

        Returns:
            RGB uint8 of the size of ``stylized_hwc``. A new scene, another size: ``stylized_hwc`` itself.
        """
        small = reduced_luminance(frame_hwc, _FLOW_SIDE)
        before, past, self._small = self._small, self._shown, small
        if before is None or past is None or before.shape != small.shape or past.shape != stylized_hwc.shape:
            self._shown = stylized_hwc
            return stylized_hwc
        flow, back = self._flow(small, before), self._flow(before, small)
        lost = without_partner(flow, back, boundaries=False)
        if is_cut(small, before, flow, lost):
            self._shown = stylized_hwc
            return stylized_hwc
        still = difference(small, before)
        stand = stays(still, difference(small, warp(before, flow)), flow, _BETTER_LEVELS)
        stand |= lost & (still < _STILL_LEVELS)
        flow[stand] = 0
        trust = self._trust(small, before, flow, lost & ~stand)
        self._shown = self._blend(stylized_hwc, carry(past, flow), trust)
        return self._shown

    def _trust(self, small: Any, before: Any, flow: Any, lost: Any) -> NDArray[np.float32]:
        """How much the past counts, 0 … 1, on the reduced picture."""
        residual = self._cv2.absdiff(small, warp(before, flow)).astype(np.float32)
        residual = self._cv2.blur(residual, (3, 3))
        trust = np.exp(-np.square(residual / _DIFFERENT_LEVELS))
        trust[lost] = 0
        evened: NDArray[np.float32] = self._cv2.blur(self._cv2.erode(trust, np.ones((3, 3), np.uint8)), (3, 3))
        return evened

    def _blend(self, present: Frame, past: Frame, trust: NDArray[np.float32]) -> Frame:
        cv2 = self._cv2
        around = np.ones((_NEIGHBOURHOOD, _NEIGHBOURHOOD), np.uint8)
        past = cv2.min(cv2.max(past, cv2.erode(present, around)), cv2.dilate(present, around))
        share = cv2.resize(trust, (present.shape[1], present.shape[0]), interpolation=cv2.INTER_LINEAR)
        share *= _LARGEST_SHARE * self.strength
        blended: Frame = cv2.blendLinear(past, present, share, 1 - share)
        return self._with_contrast_of(present, blended)

    def _with_contrast_of(self, present: Frame, blended: Frame) -> Frame:
        """The blend, its fine contrast raised to the present frame's, place by place."""
        cv2 = self._cv2
        largest = min(_LARGEST_GAIN, _LONGEST_SHARE / max(_LARGEST_SHARE * self.strength, 1e-6))
        gain = np.clip(self._contrast(present) / self._contrast(blended), 1.0, max(1.0, largest))
        gain = cv2.resize(gain, (present.shape[1], present.shape[0]), interpolation=cv2.INTER_LINEAR)
        sharpened: Frame = cv2.blendLinear(blended, cv2.blur(blended, (_STROKE, _STROKE)), gain, 1 - gain)
        return sharpened

    def _contrast(self, picture: Frame) -> NDArray[np.float32]:
        """Mean distance of a pixel's luminance from that around it, grey levels plus 1, at an eighth of the size."""
        cv2 = self._cv2
        grey = luminance(picture)
        away = cv2.absdiff(grey, cv2.blur(grey, (_STROKE, _STROKE)))
        height, width = grey.shape
        size = max(1, width // 8), max(1, height // 8)
        local: NDArray[np.float32] = cv2.resize(away, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        return cv2.blur(local, (3, 3)) + 1  # type: ignore[no-any-return]
