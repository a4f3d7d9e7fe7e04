"""Bicubic resizing as MATLAB's ``imresize`` does it, by which super-resolution is degraded and measured."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from styletransfer.core.errors import SettingsError

Pixels = TypeVar("Pixels", bound=np.generic)


def imresize(picture_hwc: NDArray[Pixels], size: tuple[int, int] | float) -> NDArray[Pixels]:
    """Resize with the cubic of a = -0.5 (Keys 1981), stretched over what a pixel covers where the picture shrinks.

    Like MATLAB: pixel centres are aligned, the border is mirrored with the outermost pixel repeated, the side that
    shrinks most comes first, and whole numbers are rounded (half up) after each of the two passes. Every published
    table of super-resolution rests on it. Pillow's and OpenCV's bicubic differ: a different a, the border, or no
    antialiasing at all.

    Args:
        picture_hwc: uint8 0..255, or float32 or float64 of any range (not clipped), ``[H, W]`` or ``[H, W, C]``.
        size: height and width in pixels, or a factor: the result has ceil(factor · side) pixels.

    Returns:
        The same type, of the new height and width.

    Raises:
        SettingsError: the size has no pixels, or the array is of another kind.
    """
    if picture_hwc.ndim not in (2, 3) or picture_hwc.dtype not in (np.uint8, np.float32, np.float64):
        raise SettingsError(
            f"a picture of {picture_hwc.ndim} dimensions and type {picture_hwc.dtype} cannot be resized; "
            "allowed: [H, W] or [H, W, C] of uint8, float32 or float64"
        )
    sides = picture_hwc.shape[:2]
    if isinstance(size, tuple):
        lengths, factors = size, tuple(new / old for new, old in zip(size, sides, strict=True))
    elif not 0 < size < math.inf:
        raise SettingsError(f"{sides[1]}×{sides[0]} pixels cannot be resized by {size}; allowed: a factor above 0")
    else:
        # 0.1 · 30 is a little over 3 in binary: MATLAB's ceil would make 4 pixels of some such sides as well
        lengths, factors = tuple(math.ceil(round(size * side, 6)) for side in sides), (float(size),) * 2
    if min(*lengths, *sides) < 1:
        raise SettingsError(f"{sides[1]}×{sides[0]} pixels cannot be resized to {size}; at least one pixel must stay")
    result: NDArray[Any] = picture_hwc
    for axis in sorted((0, 1), key=lambda axis: factors[axis]):  # stable: rows first where both are alike
        result = _along(result, axis, lengths[axis], factors[axis])
    return result


def modcrop(picture_hwc: NDArray[Pixels], multiple: int) -> NDArray[Pixels]:
    """The picture without the last rows and columns that exceed a multiple; a view.

    Args:
        picture_hwc: ``[H, W]`` or ``[H, W, C]`` of any type.
        multiple: pixels, 1 or more.
    """
    height, width = (side - side % multiple for side in picture_hwc.shape[:2])
    return picture_hwc[:height, :width]


def _along(picture: NDArray[Any], axis: int, length: int, factor: float) -> NDArray[Any]:
    weights, indices = _contributions(picture.shape[axis], length, factor)
    kind = np.float32 if picture.dtype == np.float32 else np.float64
    lines = np.moveaxis(picture, axis, 0)
    result = np.zeros((length, *lines.shape[1:]), kind)
    column = (length,) + (1,) * (lines.ndim - 1)
    for weight, index in zip(weights.T, indices.T, strict=True):  # tap by tap: no copy of all taps at once
        result += weight.reshape(column).astype(kind) * lines[index]
    if picture.dtype == np.uint8:
        result = np.floor(np.clip(result, 0, 255) + 0.5)
    return np.ascontiguousarray(np.moveaxis(result, 0, axis).astype(picture.dtype))


@lru_cache(maxsize=64)
def _contributions(old: int, new: int, factor: float) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Weights and indices of the pixels that make each new one, both ``[new, taps]``; the weights of a row sum to 1."""
    shrink = min(factor, 1.0)
    width = 4 / shrink
    centre = (np.arange(new) + 0.5) / factor - 0.5
    left = np.floor(centre - width / 2) + 1
    at = left[:, None] + np.arange(math.ceil(width) + 1)
    weights = shrink * _cubic(shrink * (centre[:, None] - at))
    weights /= weights.sum(1, keepdims=True)
    mirrored = np.mod(at.astype(np.intp), 2 * old)
    indices = np.where(mirrored < old, mirrored, 2 * old - 1 - mirrored)
    used = np.any(weights != 0, axis=0)
    return weights[:, used], indices[:, used]


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
