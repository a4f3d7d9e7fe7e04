"""Giving one picture the colours of another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.uint8]

_FAINT = 4.0  # variance in squared grey levels that every colour direction is granted: a grey picture has too few


def match_colors(frame_hwc: Frame, like_hwc: Frame) -> Frame:
    """A picture with the mean and the covariance of another's colours.

    Gatys, Bethge, Hertzmann, Shechtman 2016, "Preserving Color in Neural Artistic Style Transfer", section 4.1,
    with the symmetric square root of Hertzmann's Image Analogies.

    Args:
        frame_hwc: what is changed, RGB uint8 ``[H, W, 3]``.
        like_hwc: whose colours it gets, RGB uint8 of any size.

    Returns:
        RGB uint8, the first picture's shape; colours outside 0..255 are clipped.
    """
    mean, covariance = _statistics(frame_hwc)
    wanted_mean, wanted_covariance = _statistics(like_hwc)
    turn = _power(wanted_covariance, 0.5) @ _power(covariance, -0.5)
    result = np.empty_like(frame_hwc)
    for row, line in enumerate(frame_hwc):  # a row at a time: a large painting in float64 would fill the memory
        result[row] = ((line - mean) @ turn.T + wanted_mean).round().clip(0, 255)
    return result


def match_histogram(frame_hwc: Frame, like_hwc: Frame) -> Frame:
    """A picture with another's histogram in each channel: exact quantiles, interpolated between grey levels.

    Johnson et al. 2016, section 4.2, give the enlarged picture the histogram of the small one in this way.

    Args:
        frame_hwc: what is changed, RGB uint8 ``[H, W, 3]``.
        like_hwc: whose histogram it gets, RGB uint8 of any size.

    Returns:
        RGB uint8, the first picture's shape.
    """
    result = np.empty_like(frame_hwc)
    for channel in range(3):
        counts, wanted = (np.bincount(f[..., channel].ravel(), minlength=256) for f in (frame_hwc, like_hwc))
        levels = np.flatnonzero(wanted)
        shares = np.cumsum(counts) / counts.sum()
        table = np.interp(shares, np.cumsum(wanted[levels]) / wanted.sum(), levels)
        result[..., channel] = np.rint(table).astype(np.uint8)[frame_hwc[..., channel]]
    return result


def _statistics(frame: Frame) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    step = max(1, round((frame.shape[0] * frame.shape[1] / 1e6) ** 0.5))  # a million pixels are plenty
    pixels = frame[::step, ::step].reshape(-1, 3).astype(np.float64)
    centred = pixels - pixels.mean(axis=0)
    return pixels.mean(axis=0), centred.T @ centred / len(pixels) + _FAINT * np.eye(3)


def _power(matrix: npt.NDArray[np.float64], power: float) -> npt.NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    result: npt.NDArray[np.float64] = (vectors * values**power) @ vectors.T
    return result
