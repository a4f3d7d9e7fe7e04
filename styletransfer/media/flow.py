"""Optical flow between the frames of a clip, and how unsteady a second clip is along it.

The measure is the evaluation of Lai, Huang, Wang, Shechtman, Yumer, Yang: Learning Blind Video Temporal Consistency
(ECCV 2018), as their code computes it: flow between the *input's* neighbouring frames, pixels without a partner left
out after Ruder, Dosovitskiy, Brox: Artistic Style Transfer for Videos (GCPR 2016), and the mean squared difference of
an *output* frame and its successor brought back along the flow, with colours in 0..1. Departures: OpenCV's DIS flow
(Kroeger, Timofte, Dai, Van Gool 2016) on the luminance in place of FlowNet2, so that figures compare only with figures
made by this module; pixels whose partner lies outside the frame are left out.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from styletransfer.media.opencv import import_cv2

Frame = NDArray[np.uint8]
"""RGB uint8 ``[H, W, 3]``."""

Flow = NDArray[np.float32]
"""``[H, W, 2]``: where, in pixels to the right and down, each pixel of one frame is found in the other."""

Mask = NDArray[np.bool_]
"""``[H, W]``."""

DIFFERENCE_PX = (5, 5)
"""Neighbourhood in which pictures are compared."""

_LEAST_SIDE = 32  # pixels; on smaller pictures OpenCV's DIS reads and writes past their ends
_STILL_PIXELS = 0.25  # longest flow of what counts as not moving
_STILL_LEVELS = 4.0  # largest change of its smoothed luminance, grey levels
_STILL_SIGMA = 2.0  # pixels; evens out sensor noise and the codec's
# Of neighbouring frames of the eight test clips at most 0.20 of the pixels were lost or differed so, of frames five
# apart 0.39; of frames of different clips at least 0.96.
_CUT_SHARE, _CUT_LEVELS = 0.65, 24.0
_NO_MOTION_PIXELS = 0.15  # shorter flow is none: resampling what stands still would blur it
_FLASH_LEVELS = 60.0  # mean difference, grey levels: light or darkness that no flow explains


class FlowEstimator:
    """OpenCV's DIS flow with its buffers; one object serves one thread.

    Args:
        quality: ``"medium"`` to measure, ``"fast"`` while a film runs.
    """

    def __init__(self, quality: str = "medium") -> None:
        self._cv2 = import_cv2()
        presets = {
            "fast": self._cv2.DISOPTICAL_FLOW_PRESET_FAST,
            "medium": self._cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
        }
        self._dis = self._cv2.DISOpticalFlow_create(presets[quality])

    def __call__(self, first_hw: NDArray[np.uint8], second_hw: NDArray[np.uint8]) -> Flow:
        """Where the pixels of ``first_hw`` are found in ``second_hw``; both luminance uint8 ``[H, W]``.

        Returns:
            float32 ``[H, W, 2]``, pixels.
        """
        height, width = first_hw.shape
        bottom, right = max(0, _LEAST_SIDE - height), max(0, _LEAST_SIDE - width)
        if bottom or right:
            first_hw, second_hw = (
                self._cv2.copyMakeBorder(picture, 0, bottom, 0, right, self._cv2.BORDER_REPLICATE)
                for picture in (first_hw, second_hw)
            )
        flow: Flow = self._dis.calc(first_hw, second_hw, None)
        return np.ascontiguousarray(flow[:height, :width])


def luminance(frame_hwc: Frame) -> NDArray[np.uint8]:
    """The grey picture that flow is computed on: uint8 ``[H, W]``."""
    cv2 = import_cv2()
    grey: NDArray[np.uint8] = cv2.cvtColor(frame_hwc, cv2.COLOR_RGB2GRAY)
    return grey


def reduced_luminance(frame_hwc: Frame, longer_side: int) -> NDArray[np.uint8]:
    """The same with ``longer_side`` pixels at most, 16 at least a side."""
    cv2 = import_cv2()
    grey = luminance(frame_hwc)
    height, width = grey.shape
    scale = min(1.0, longer_side / max(height, width))
    size = max(16, round(width * scale)), max(16, round(height * scale))
    small: NDArray[np.uint8] = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return small


def warp(picture: NDArray[Any], flow_hw2: Flow) -> NDArray[Any]:
    """Bring a picture back along a flow: pixel (x, y) of the result is the picture's at (x, y) + flow, bilinear.

    Args:
        picture: ``[H, W]`` or ``[H, W, C]``, uint8 or float32; repeated beyond its border.
        flow_hw2: ``[H, W, 2]``, pixels.
    """
    cv2 = import_cv2()
    height, width = flow_hw2.shape[:2]
    places = cv2.add(flow_hw2, pixel_grid(height, width))
    moved: NDArray[Any] = cv2.remap(picture, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return moved


def carry(picture: NDArray[Any], flow_hw2: Flow) -> NDArray[Any]:
    """:func:`warp` for a picture larger than the ones that the flow is of, which is enlarged with its vectors."""
    cv2 = import_cv2()
    height, width = picture.shape[:2]
    flow_hw2 = flow_hw2 * np.array([width / flow_hw2.shape[1], height / flow_hw2.shape[0]], np.float32)
    return warp(picture, cv2.resize(flow_hw2, (width, height), interpolation=cv2.INTER_LINEAR))


@functools.lru_cache(maxsize=4)
def pixel_grid(height: int, width: int) -> Flow:
    """Each pixel's own place (x, y): float32 ``[H, W, 2]``, shared and not to be written to."""
    grid = np.empty((height, width, 2), np.float32)
    grid[..., 0] = np.arange(width, dtype=np.float32)
    grid[..., 1] = np.arange(height, dtype=np.float32)[:, None]
    grid.flags.writeable = False
    return grid


def squared_length(flow_hw2: Flow) -> NDArray[np.float32]:
    """Of each vector: ``[H, W]``, squared pixels."""
    lengths: NDArray[np.float32] = np.einsum("hwc,hwc->hw", flow_hw2, flow_hw2)
    return lengths


def difference(first_hw: NDArray[np.uint8], second_hw: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much two pictures differ around each pixel, grey levels: the mean of 5×5, of which noise is a small part."""
    cv2 = import_cv2()
    around: NDArray[np.float32] = cv2.blur(cv2.absdiff(first_hw, second_hw).astype(np.float32), DIFFERENCE_PX)
    return around


def stays(still_hw: NDArray[np.float32], moved_hw: NDArray[np.float32], flow_hw2: Flow, levels: float) -> Mask:
    """Pixels that standing still explains as well as the flow does, which guesses where there is little to see.

    Args:
        still_hw: :func:`difference` of the two pictures.
        moved_hw: of the first and the second brought back along the flow.
        flow_hw2: from the first to the second; motion too short to be any counts as none.
        levels: so much better must the flow explain a pixel.
    """
    mask: Mask = (moved_hw + levels > still_hw) | (squared_length(flow_hw2) < _NO_MOTION_PIXELS**2)
    return mask


def without_partner(flow_hw2: Flow, back_hw2: Flow, boundaries: bool = True) -> Mask:
    """Pixels of the first frame that the second does not show, or whose motion is not certain.

    Ruder et al. 2016: there and back again does not lead home, |w + w'|² > 0.01 (|w|² + |w'|²) + 0.5; or a
    motion boundary, |∇u|² + |∇v|² > 0.01 |w|² + 0.002. And the partner lies outside the frame.

    Args:
        flow_hw2: w, from the first frame to the second.
        back_hw2: from the second to the first.
        boundaries: leave motion boundaries out, too.
    """
    height, width = flow_hw2.shape[:2]
    back_there = warp(back_hw2, flow_hw2)
    length2 = squared_length(flow_hw2)
    mask: Mask = squared_length(flow_hw2 + back_there) > 0.01 * (length2 + squared_length(back_there)) + 0.5
    across = flow_hw2[..., 0] + np.arange(width, dtype=np.float32)
    down = flow_hw2[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    mask |= (across < 0) | (across > width - 1) | (down < 0) | (down > height - 1)
    if boundaries:
        slope2 = np.zeros((height, width), np.float32)
        slope2[:, :-1] += squared_length(np.diff(flow_hw2, axis=1))
        slope2[:-1] += squared_length(np.diff(flow_hw2, axis=0))
        mask |= slope2 > 0.01 * length2 + 0.002
    return mask


def warping_error(first_hwc: Frame, second_hwc: Frame, flow_hw2: Flow, left_out: Mask) -> float:
    """The error of Lai et al. 2018: mean squared difference of a frame and its successor brought back, colours in 0..1.

    Args:
        first_hwc: a frame of the *output*.
        second_hwc: the next one.
        flow_hw2: from the first frame of the *input* to the second.
        left_out: pixels that do not count (:func:`without_partner`).

    Returns:
        The error; NaN where no pixel counts.
    """
    difference = warp(second_hwc.astype(np.float32), flow_hw2) - first_hwc
    counted = difference[~left_out]
    return float(np.square(counted).mean() / 255**2) if counted.size else float("nan")


def still_pixels(first_hw: NDArray[np.uint8], second_hw: NDArray[np.uint8], flow_hw2: Flow, left_out: Mask) -> Mask:
    """Pixels of the input that neither move nor change, noise apart: what flickers there was made by the style."""
    cv2 = import_cv2()
    change = cv2.GaussianBlur(second_hw.astype(np.float32) - first_hw, (0, 0), _STILL_SIGMA)
    still: Mask = (squared_length(flow_hw2) < _STILL_PIXELS**2) & (np.abs(change) < _STILL_LEVELS) & ~left_out
    return still


def flicker(first_hwc: Frame, second_hwc: Frame, still: Mask) -> float:
    """Root mean square change of the still pixels from one output frame to the next, grey levels; NaN without any."""
    change = second_hwc[still].astype(np.float32) - first_hwc[still]
    return float(np.sqrt(np.square(change).mean())) if change.size else float("nan")


def is_cut(first_hw: NDArray[np.uint8], second_hw: NDArray[np.uint8], flow_hw2: Flow, left_out: Mask) -> bool:
    """Whether another scene begins with the second frame: hardly anything of the first is found in it."""
    change = warp(second_hw, flow_hw2).astype(np.int16) - first_hw
    if float(np.abs(change).mean()) > _FLASH_LEVELS:
        return True
    different = np.abs(change - np.median(change[::2, ::2])) > _CUT_LEVELS
    return float((left_out | different).mean()) > _CUT_SHARE


def contrast(frame_hwc: Frame) -> float:
    """How far the colours spread: standard deviation over the pixels, mean of the channels, grey levels."""
    return float(frame_hwc.reshape(-1, 3).std(axis=0).mean())


def detail(frame_hwc: Frame) -> float:
    """How much is drawn: root mean square difference of neighbouring pixels, grey levels. Blurring lowers it."""
    picture = frame_hwc.astype(np.float32)
    across, down = np.diff(picture, axis=1), np.diff(picture, axis=0)
    return float(np.sqrt((np.square(across).mean() + np.square(down).mean()) / 2))
