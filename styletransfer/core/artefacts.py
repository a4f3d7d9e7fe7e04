"""Measures of what goes wrong in a stylized picture: a grid, a frame, wrong colours, lost content.

They judge single pictures and say nothing of beauty. :data:`LIMITS` holds for their means over ten photos or more:
on a single one a window blind is a grid, and a bright sky a frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from styletransfer.core.colour import luminance, to_lab
from styletransfer.core.errors import InputError
from styletransfer.core.grid import GRID_PERIODS_PX, MIN_SIDE, grid

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]

BORDER_PX = 16
"""Width of the border: as far in as the zeros of a padded network show."""

_STROKE_PX = 3.0  # standard deviation of the blur that strokes are hidden by, in the luminance and in its gradients
_DIRECTIONS = 32
_QUANTILES = 256
_MAX_PIXELS = 16384  # of which a colour distribution is made


@dataclass(frozen=True)
class Limit:
    """How far a measure's mean over a set of photos may go.

    Attributes:
        bound: the limit itself.
        unit: of the measure.
        origin: what was seen on both sides of it.
        is_floor: the measure must not fall below the bound, in place of not exceeding it.
    """

    bound: float
    unit: str
    origin: str
    is_floor: bool = False

    def holds(self, value: float) -> bool:
        """Whether a mean of ``value`` is within the limit; NaN is not."""
        return value >= self.bound if self.is_floor else value <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.is_floor else '≤'} {self.bound:g} {self.unit}".rstrip()


# From the ten shipped styles on twenty photos at 256×256 and 512×512, which were looked at, against spoiled ones:
# networks whose up-sampling phases had been untied by 10 %, waves added to the pictures, networks with zeros in place
# of their reflected padding, exchanged channels, and networks applied four times over. The figures are means.
LIMITS = {
    "grid2": Limit(0.25, "levels", "shipped up to 0.1; phases untied by 10 %, just visible, 0.5 to 0.9"),
    "grid4": Limit(1.0, "levels", "shipped up to 0.7; a wave of 2 levels, visible in calm areas, 1.8 and more"),
    "grid8": Limit(1.0, "levels", "shipped up to 0.4; a wave of 4 levels 3.4 and more"),
    "border": Limit(
        2.4, "×", "shipped 1.0 to 2.35, a light edge that is seen when looked for; zero padding 2.5 to 2.7"
    ),
    "colour": Limit(13.0, "ΔE", "shipped 3 to 9, single photos to 11; red and blue exchanged 16 to 46"),
    "readability": Limit(0.65, "", "shipped 0.71 to 0.85; four times stylized, hardly recognised, 0.4 to 0.5", True),
}
"""Limits by measure, in the order of :func:`measure`."""


def measure(stylized_hwc: Picture, photo_hwc: Picture, painting_hwc: Picture) -> dict[str, float]:
    """Every measure that :data:`LIMITS` names.

    Args:
        stylized_hwc: what the network made, RGB uint8 ``[H, W, 3]``, sides of at least 64.
        photo_hwc: of what it made it, the same shape.
        painting_hwc: the painting, RGB uint8 of any size.

    Returns:
        ``grid2``, ``grid4``, ``grid8``: :func:`grid_energy`; ``border``: :func:`border_energy`; ``colour``:
        :func:`colour_drift`; ``readability``: :func:`readability`.

    Raises:
        InputError: the shapes differ, or a side is too small.
    """
    return {
        **{f"grid{period}": value for period, value in grid_energy(stylized_hwc, photo_hwc).items()},
        "border": border_energy(stylized_hwc, photo_hwc),
        "colour": colour_drift(stylized_hwc, painting_hwc),
        "readability": readability(stylized_hwc, photo_hwc),
    }


# ---- the grid of up-sampling steps ----


def grid_energy(stylized_hwc: Picture, photo_hwc: Picture) -> dict[int, float]:
    """How much grid of each period a stylized picture has that its photo has not, in grey levels.

    Args:
        stylized_hwc: RGB uint8 ``[H, W, 3]``, sides of at least 64.
        photo_hwc: the same shape.

    Returns:
        Period in pixels to the largest amplitude of three directions, see
        :func:`~styletransfer.core.grid.grid_amplitudes`, each less the photo's own: a brick wall is no artefact.

    Raises:
        InputError: the shapes differ, or a side is too small.
    """
    _check(stylized_hwc, photo_hwc)
    stylized, own = grid(stylized_hwc), grid(photo_hwc)
    return {
        period: max(max(0.0, stylized[f"{axis}{period}"] - own[f"{axis}{period}"]) for axis in ("x", "y", "xy"))
        for period in GRID_PERIODS_PX
    }


# ---- a frame along the border ----


def border_energy(stylized_hwc: Picture, photo_hwc: Picture) -> float:
    """How much more happens in the outer 16 pixels than in the interior, relative to the photo.

    Two ratios of amplitudes, outer to inner, of which the larger counts. *Frame*: the steps in CIELAB from one pixel
    row to the next, averaged along each side and then over the four sides, which leaves little of strokes and much of
    what runs along the whole border; against the same steps inside the picture. *Texture*: the differences of
    neighbouring pixels. Each is divided by the photo's own where that is above 1: a photo with a busy border is no
    artefact.

    Args:
        stylized_hwc: RGB uint8 ``[H, W, 3]``, sides of at least 64.
        photo_hwc: the same shape.

    Returns:
        About 1 without a frame. On an otherwise flat picture a frame whose edge is one step of a ΔE measures a.

    Raises:
        InputError: the shapes differ, or a side is too small.
    """
    _check(stylized_hwc, photo_hwc)
    ratios = zip(_border_ratios(stylized_hwc), _border_ratios(photo_hwc), strict=True)
    return max(stylized / max(1.0, own) for stylized, own in ratios)


def _border_ratios(frame_hwc: Picture) -> tuple[float, float]:
    lab = to_lab(frame_hwc)
    steps = [np.diff(turned, axis=0) for turned in (lab, lab.swapaxes(0, 1))]
    outer, inner = slice(BORDER_PX), slice(BORDER_PX, -BORDER_PX)
    lines = [step.mean(1) for step in steps]
    sides = np.stack([side for line in lines for side in (line[outer], -line[::-1][outer])])
    frame = np.square(sides.mean(0)).sum()
    # Four sides that have nothing in common: their mean has a quarter of the energy of each. The longer they are, the
    # less is left of the strokes in it; the same frame shall measure the same at every size, as in 256 pixels.
    within = np.mean(
        [np.square(line[inner]).sum(-1).mean() * step.shape[1] for line, step in zip(lines, steps, strict=True)]
    )
    expected = BORDER_PX * within / 4 / 256
    energies = [np.square(step).sum(-1).mean(1) for step in steps]
    edge = np.mean([[energy[outer].mean(), energy[::-1][outer].mean()] for energy in energies])
    middle = np.mean([energy[inner].mean() for energy in energies])
    # + 1: differences below one ΔE are not seen.
    return float(np.sqrt(frame / (expected + 1))), float(np.sqrt((edge + 1) / (middle + 1)))


# ---- colours ----


def colour_drift(stylized_hwc: Picture, painting_hwc: Picture) -> float:
    """Distance of a picture's colours from the painting's: sliced Wasserstein distance in CIELAB, in ΔE.

    The pixels are projected on 32 directions spread evenly over the sphere; along each the 2-Wasserstein distance of
    two distributions is that of their quantiles (Bonneel et al. 2015, Sliced and Radon Wasserstein Barycenters of
    Measures). Departure: the mean square over the directions is multiplied by 3, so that moving every colour by the
    vector v measures ‖v‖.

    Args:
        stylized_hwc: RGB uint8 ``[H, W, 3]``.
        painting_hwc: RGB uint8, of any size.
    """
    height = 1 - (np.arange(_DIRECTIONS) + 0.5) / _DIRECTIONS  # a Fibonacci spiral on the upper half of the sphere
    angle = np.pi * (1 + np.sqrt(5)) * np.arange(_DIRECTIONS)
    radius = np.sqrt(1 - height**2)
    directions = np.stack([height, radius * np.cos(angle), radius * np.sin(angle)])
    first, second = (_quantiles(to_lab(_thinned(frame)) @ directions) for frame in (stylized_hwc, painting_hwc))
    return float(np.sqrt(3 * np.square(first - second).mean()))


def _quantiles(values: Floats) -> Floats:
    """256 quantiles down each column of ``[N, columns]``; float32 sorts twice as fast."""
    ordered = np.sort(values.astype(np.float32), axis=0)
    at = (np.arange(_QUANTILES) + 0.5) / _QUANTILES * len(values)
    return ordered[at.astype(np.int64)].astype(np.float64)


def _thinned(frame_hwc: Picture) -> Picture:
    """Up to 16,384 of its pixels, spread evenly: uint8 ``[N, 3]``."""
    pixels = frame_hwc.reshape(-1, 3)
    count = min(len(pixels), _MAX_PIXELS)
    return pixels[np.linspace(0, len(pixels) - 1, count).astype(np.int64)]


# ---- content ----


def readability(stylized_hwc: Picture, photo_hwc: Picture) -> float:
    """How much of a photo's structure is still there: the correlation of the gradients' structure.

    At each pixel the gradient (g_x, g_y) of the blurred luminance, of length m, is written as
    (m - mean m, (g_x² - g_y²) / m, 2·g_x·g_y / m): strength and direction of an edge, the same for dark on light and
    light on dark, since a style may turn the one into the other. Both blurs, of the luminance and of the three
    fields, have a standard deviation of 3 pixels: strokes, which are thinner, cancel out.

    Args:
        stylized_hwc: RGB uint8 ``[H, W, 3]``.
        photo_hwc: the same shape.

    Returns:
        1 for the photo itself or its negative, about 0 for another photo. A photo without any structure gives 1.

    Raises:
        InputError: the shapes differ, or a side is too small.
    """
    _check(stylized_hwc, photo_hwc)
    first, second = _structure(stylized_hwc), _structure(photo_hwc)
    own, other = np.square(second).sum(), np.square(first).sum()
    if own < 1e-9 * second.size:
        return 1.0
    return float((first * second).sum() / np.sqrt(own * max(other, 1e-9 * first.size)))


def _structure(frame_hwc: Picture) -> Floats:
    gy, gx = np.gradient(_blurred(luminance(frame_hwc)))
    length = np.hypot(gx, gy) + 1e-9
    fields = np.stack([length, (gx * gx - gy * gy) / length, 2 * gx * gy / length])
    blurred = np.stack([_blurred(field) for field in fields])
    blurred[0] -= blurred[0].mean()
    return blurred


def _blurred(plane_hw: Floats) -> Floats:
    """Gaussian blur of 3 pixels, edges mirrored."""
    radius = round(3 * _STROKE_PX)
    weights = np.exp(-0.5 * np.square(np.arange(-radius, radius + 1) / _STROKE_PX))
    for _ in range(2):  # down the columns, turned, and again
        padded = np.pad(plane_hw, ((radius, radius), (0, 0)), mode="symmetric")
        rows = len(plane_hw)
        plane_hw = sum(weight * padded[i : i + rows] for i, weight in enumerate(weights / weights.sum())).T
    return plane_hw


def _check(stylized_hwc: Picture, photo_hwc: Picture) -> None:
    if stylized_hwc.shape != photo_hwc.shape or stylized_hwc.ndim != 3:
        raise InputError(
            f"the stylized picture is {list(stylized_hwc.shape)}, its photo {list(photo_hwc.shape)}; "
            "both must be [H, W, 3] of one size"
        )
    if min(stylized_hwc.shape[:2]) < MIN_SIDE:
        raise InputError(f"the picture is {list(stylized_hwc.shape)}; sides of at least {MIN_SIDE} pixels are needed")
