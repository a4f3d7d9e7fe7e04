"""Frames as networks take them: checked, mirrored at the border up to the size, and cut back to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from styletransfer.core.errors import InputError

Frames = npt.NDArray[np.uint8]

MIN_SIDE = 16
"""Smaller pictures are padded to this many pixels, which every network of ours takes."""


def round_up(size: int, multiple: int) -> int:
    """The smallest multiple of ``multiple`` that is at least ``size``."""
    return -(-size // multiple) * multiple


def padded_size(height: int, width: int, multiple: int) -> tuple[int, int]:
    """Height and width that a network of ours takes a frame at: multiples, and no less than :data:`MIN_SIDE`."""
    return round_up(max(height, MIN_SIDE), multiple), round_up(max(width, MIN_SIDE), multiple)


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


def crop(frames_nhwc: Frames, height: int, width: int) -> Frames:
    """The top left ``height`` × ``width`` pixels of every frame, C-contiguous; a copy only where it has to be."""
    return np.ascontiguousarray(frames_nhwc[:, :height, :width])


def check_frames(frames: Any, dimensions: int) -> Frames:
    """The array, C-contiguous, if it holds RGB bytes: ``[H, W, 3]`` of 3 dimensions or ``[N, H, W, 3]`` of 4.

    Raises:
        InputError: it does not; the message says what it is.
    """
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8 or frames.ndim != dimensions:
        shape = "[H, W, 3]" if dimensions == 3 else "[N, H, W, 3]"
        got = f"{frames.dtype}{list(frames.shape)}" if isinstance(frames, np.ndarray) else type(frames).__name__
        raise InputError(f"expected RGB uint8 {shape}, got {got}")
    if frames.shape[-1] != 3 or 0 in frames.shape[-3:]:
        raise InputError(f"expected RGB pixels in three channels, got {list(frames.shape)}")
    return np.ascontiguousarray(frames)
