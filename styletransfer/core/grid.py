"""The grid that up-sampling steps leave in a picture, measured at its own frequencies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from styletransfer.core.colour import luminance
from styletransfer.core.errors import InputError

GRID_PERIODS_PX = (2, 4, 8)
"""Periods that up-sampling by 2, 4 and 8 leaves behind."""

MIN_SIDE = 64
"""Smaller pictures have too little of a spectrum."""

_NEIGHBOURHOOD = 9  # bins each way around a grid frequency that count as its spectral neighbourhood
_MAIN_LOBE = 2  # a Hann window spreads a sine over its bin and one each side; 2 leaves a margin


def grid(frame_hwc: NDArray[np.uint8]) -> dict[str, float]:
    """:func:`grid_amplitudes` of the luminance of an RGB uint8 ``[H, W, 3]``, in grey levels."""
    return grid_amplitudes(luminance(frame_hwc))


def grid_amplitudes(luminance_hw: NDArray[Any]) -> dict[str, float]:
    """Amplitude of each grid component, above the median of its spectral neighbourhood.

    The luminance, its mean removed, is multiplied by a Hann window in both directions and
    transformed. The amplitude is that of a cosine ``a·cos(2πx/p)``, in the unit of the input (grey
    levels), so a sine of amplitude 3 added to a flat field measures 3; at ``p = 2`` a sine is
    ``±a``. From the amplitude at the grid frequency the median amplitude of the bins around it
    (±9 bins, without the window's own main lobe) is taken away, so that texture, which has energy
    everywhere, does not count as a grid. Negative differences count as 0.

    Args:
        luminance_hw: ``[H, W]``, any real type, sides of at least 64; a side that is no multiple of
            8 is cropped to one.

    Returns:
        ``{"x2": ..., "y2": ..., "xy2": ..., "x4": ..., ...}``: period 2, 4 and 8 pixels along x
        (vertical lines), along y (horizontal lines) and both. The two diagonals of the last are
        added up: ``a·cos(2πx/p)·cos(2πy/p)``, a lattice of dots, measures ``a``.

    Raises:
        InputError: the array is no ``[H, W]`` or too small.
    """
    if luminance_hw.ndim != 2 or min(luminance_hw.shape) < MIN_SIDE:
        raise InputError(
            f"the luminance has shape {luminance_hw.shape}; [H, W] of at least {MIN_SIDE} pixels is needed"
        )
    longest = max(GRID_PERIODS_PX)
    height, width = (side - side % longest for side in luminance_hw.shape)
    field = luminance_hw[:height, :width].astype(np.float64)
    # Periodic Hann windows: their transform is zero everywhere but at the bin and its neighbours.
    window = np.outer(_hann(height), _hann(width))
    field = (field - np.average(field, weights=window)) * window
    spectrum = np.abs(np.fft.fft2(field)) / window.sum()
    amplitudes: dict[str, float] = {}
    for period in GRID_PERIODS_PX:
        fy, fx = height // period, width // period
        diagonals = {(fy, fx), (fy, width - fx)}  # at period 2 they are one and the same
        places = {"x": {(0, fx)}, "y": {(fy, 0)}, "xy": diagonals}
        for axis, bins in places.items():
            amplitudes[f"{axis}{period}"] = sum(_above_neighbours(spectrum, b) for b in bins)
    return amplitudes


def _hann(size: int) -> NDArray[np.float64]:
    hann: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    return hann


def _above_neighbours(spectrum: NDArray[np.float64], place: tuple[int, int]) -> float:
    height, width = spectrum.shape
    offsets = np.arange(-_NEIGHBOURHOOD, _NEIGHBOURHOOD + 1)
    around = spectrum[np.ix_((place[0] + offsets) % height, (place[1] + offsets) % width)]
    lobe = np.maximum(np.abs(offsets)[:, None], np.abs(offsets)[None, :]) <= _MAIN_LOBE
    centre = float(spectrum[place])
    # A real cosine has its energy at two mirrored bins, at half the amplitude each; where both
    # coordinates are 0 or Nyquist the two coincide and hold the whole of it.
    nyquist = all(2 * p % side == 0 for p, side in zip(place, spectrum.shape, strict=True))
    scale = 1.0 if nyquist else 2.0
    return max(0.0, scale * (centre - float(np.median(around[~lobe]))))
