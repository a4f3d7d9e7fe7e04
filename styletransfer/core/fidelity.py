"""How true a restored picture is to the original, as the literature of restoration counts it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from styletransfer.core.errors import SettingsError
from styletransfer.core.likeness import psnr_db

Plane = NDArray[np.float64]

_LUMA = np.array([65.481, 128.553, 24.966]) / 255
_WINDOW_PX, _SIGMA_PX = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def luma(frame_hwc: NDArray[Any]) -> Plane:
    """Y of BT.601 in its narrow range, (65.481 R + 128.553 G + 24.966 B) / 255 + 16, as MATLAB's ``rgb2ycbcr``.

    Not rounded: most tables of super-resolution are of the real number.

    Args:
        frame_hwc: RGB ``[H, W, 3]``, 0..255, of any type; or Y itself ``[H, W]``, which only becomes float64.

    Returns:
        ``[H, W]`` float64, 16..235.
    """
    if frame_hwc.ndim == 2:
        return frame_hwc.astype(np.float64)
    return frame_hwc.astype(np.float64) @ _LUMA + 16


def shaved(picture_hwc: NDArray[Any], shave: int) -> NDArray[Any]:
    """The picture without ``shave`` pixels at each side; a view.

    Raises:
        SettingsError: nothing would be left.
    """
    if shave < 0 or min(picture_hwc.shape[:2]) <= 2 * shave:
        height, width = picture_hwc.shape[:2]
        raise SettingsError(f"{shave} pixels cannot be shaved off each side of a picture of {width}×{height}")
    return picture_hwc[shave : picture_hwc.shape[0] - shave, shave : picture_hwc.shape[1] - shave]


def psnr_y_db(restored_hwc: NDArray[Any], target_hwc: NDArray[Any], shave: int = 0) -> float:
    """PSNR of Y in decibels for a peak of 255; 138 where both are equal.

    Args:
        restored_hwc: RGB ``[H, W, 3]`` or Y ``[H, W]``, 0..255.
        target_hwc: the original, the same shape.
        shave: pixels left out at each side; the scale, for super-resolution.

    Raises:
        SettingsError: nothing is left after shaving.
    """
    return psnr_db(shaved(luma(restored_hwc), shave), shaved(luma(target_hwc), shave))


def psnr_rgb_db(restored_hwc: NDArray[Any], target_hwc: NDArray[Any], shave: int = 0) -> float:
    """PSNR over all values of RGB, arguments as :func:`psnr_y_db`."""
    return psnr_db(shaved(restored_hwc, shave), shaved(target_hwc, shave))


def ssim_y(restored_hwc: NDArray[Any], target_hwc: NDArray[Any], shave: int = 0) -> float:
    """Structural similarity of Y, arguments as :func:`psnr_y_db`; 1 where both are equal.

    Wang, Bovik, Sheikh, Simoncelli: Image Quality Assessment: From Error Visibility to Structural Similarity. IEEE
    TIP 2004, as their ``ssim.m`` computes it and tables quote it: Gaussian window of 11 × 11 pixels and σ 1.5, the
    window's own (biased) variances, K = (0.01, 0.03), L = 255, mean over the places where the whole window lies
    inside. It equals ``skimage.metrics.structural_similarity(gaussian_weights=True, use_sample_covariance=False)``,
    which crops the same border of 5 pixels.

    Raises:
        SettingsError: less than one window is left after shaving.
    """
    return _ssim(shaved(luma(restored_hwc), shave), shaved(luma(target_hwc), shave))


def ssim_rgb(restored_hwc: NDArray[Any], target_hwc: NDArray[Any], shave: int = 0) -> float:
    """The mean of the three channels' structural similarities, as :func:`ssim_y`; grey ``[H, W]`` has one."""
    restored, target = (np.atleast_3d(shaved(picture, shave)) for picture in (restored_hwc, target_hwc))
    return float(np.mean([_ssim(restored[..., channel], target[..., channel]) for channel in range(target.shape[2])]))


def _ssim(restored: NDArray[Any], target: NDArray[Any]) -> float:
    if min(target.shape) < _WINDOW_PX:
        height, width = target.shape
        raise SettingsError(f"{width}×{height} pixels are too few for SSIM, whose window is {_WINDOW_PX}×{_WINDOW_PX}")
    x, y = restored.astype(np.float64), target.astype(np.float64)
    mean_x, mean_y = _blurred(x), _blurred(y)
    variances = _blurred(x * x) - mean_x**2 + _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    like = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return float(np.mean(like / ((mean_x**2 + mean_y**2 + _C1) * (variances + _C2))))


def _blurred(plane: Plane) -> Plane:
    """Under the Gaussian window, where it lies inside the picture."""
    at = np.arange(_WINDOW_PX) - _WINDOW_PX // 2
    window = np.exp(-(at**2) / (2 * _SIGMA_PX**2))
    window /= window.sum()
    for axis in (0, 1):
        length = plane.shape[axis] - _WINDOW_PX + 1
        taps = [np.take(plane, range(tap, tap + length), axis) for tap in range(_WINDOW_PX)]
        plane = np.add.reduce([weight * part for weight, part in zip(window, taps, strict=True)])
    return plane
