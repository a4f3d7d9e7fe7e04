"""Reflection padding to the sizes that networks take."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.uint8]


def round_up(size: int, multiple: int) -> int:
    """The smallest multiple of ``multiple`` that is at least ``size``."""
    return -(-size // multiple) * multiple


def pad_reflect(frames_nhwc: Frames, height: int, width: int, top: int = 0, left: int = 0) -> Frames:
    """Place uint8 ``[N, H, W, C]`` at (``top``, ``left``) of ``height`` × ``width``, mirrored all around.

    The mirror repeats where the margin is wider than the picture, and a single row or column is repeated.
    The same size returns the array itself.
    """
    count, inner_height, inner_width, channels = frames_nhwc.shape
    if (height, width) == (inner_height, inner_width):
        return frames_nhwc
    rows = _mirror(inner_height, height, top)
    columns = _mirror(inner_width, width, left)
    bottom, right = top + inner_height, left + inner_width
    padded = np.empty((count, height, width, channels), frames_nhwc.dtype)
    band = padded[:, top:bottom]
    band[:, :, left:right] = frames_nhwc
    band[:, :, :left] = frames_nhwc[:, :, columns[:left]]
    band[:, :, right:] = frames_nhwc[:, :, columns[right:]]
    padded[:, :top] = band[:, rows[:top]]
    padded[:, bottom:] = band[:, rows[bottom:]]
    return padded


def _mirror(size: int, total: int, before: int) -> npt.NDArray[np.intp]:
    """For each of ``total`` places, which of ``size`` elements lies there, the first one at ``before``."""
    places = np.arange(total) - before
    period = max(1, 2 * (size - 1))
    places %= period
    return np.where(places < size, places, period - places)
