"""Losses on the pixels themselves: L1, L2, Charbonnier, of means, SSIM, MS-SSIM, Zhao et al. 2017.

Every function takes (restored, target), float32 RGB ``[N, 3, H, W]`` in 0..1, not clamped, and gives the mean over
the batch as a float32 scalar. Pictures that are equal have the loss 0, the Charbonnier loss apart.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from styletransfer.core.errors import SettingsError

CHARBONNIER_EPSILON = 1e-3
PYRAMID_PX = (4, 8, 16)
SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the five levels, the full size first: Wang, Simoncelli, Bovik 2003."""

MIX = 0.84
"""Share of MS-SSIM in :func:`ms_ssim_l1`; the rest is L1."""

_C1, _C2 = 0.01**2, 0.03**2
_SMALLEST = 1e-4  # x ** 0.0448 has no finite slope at 0, and a picture's mean contrast term may well be negative


def check_pair(restored: Tensor, target: Tensor, smallest_side: int = 1, name: str = "the loss") -> None:
    """Refuse what cannot be compared.

    Raises:
        ValueError: the shapes differ, or are not ``[N, 3, H, W]``.
        SettingsError: a side is shorter than ``smallest_side`` pixels.
    """
    if restored.shape != target.shape or restored.ndim != 4 or restored.shape[1] != 3:
        raise ValueError(
            f"restored {tuple(restored.shape)} and target {tuple(target.shape)} must both be [N, 3, H, W], and alike"
        )
    height, width = restored.shape[-2:]
    if min(height, width) < smallest_side:
        raise SettingsError(
            f"{name} needs pictures of at least {smallest_side}x{smallest_side} pixels, these have {width}x{height}; "
            "train on larger crops or choose another loss"
        )


def l1(restored: Tensor, target: Tensor) -> Tensor:
    """Mean |x̂ - x|."""
    check_pair(restored, target)
    return (restored - target).abs().mean()


def l2(restored: Tensor, target: Tensor) -> Tensor:
    """Mean (x̂ - x)²: its minimum has the highest PSNR."""
    check_pair(restored, target)
    return (restored - target).square().mean()


def charbonnier(restored: Tensor, target: Tensor) -> Tensor:
    """Mean √((x̂ - x)² + ε²), ε = 1e-3: L1 that is smooth at zero. Lai et al. 2017 (LapSRN); equal pictures give ε.

    Departure: the mean over pixels instead of their sum.
    """
    check_pair(restored, target)
    return ((restored - target).square() + CHARBONNIER_EPSILON**2).sqrt().mean()


def pyramid(restored: Tensor, target: Tensor) -> Tensor:
    """L1 of the means of 4×4, 8×8 and 16×16 pixels, averaged: what noise and JPEG leave in flat areas.

    It is small beside the error of single pixels, and what a style network makes strokes of.

    Raises:
        SettingsError: a side is shorter than 16 pixels.
    """
    check_pair(restored, target, PYRAMID_PX[-1], "pyramid")
    error = restored - target
    levels = [F.avg_pool2d(error, side, side // 2).abs().mean() for side in PYRAMID_PX]
    return torch.stack(levels).mean()


def ssim(restored: Tensor, target: Tensor) -> Tensor:
    """1 - SSIM, Wang, Bovik, Sheikh, Simoncelli 2004: Gaussian window of 11 pixels, σ 1.5, no padding, range 1.

    Departure: on the three channels of RGB, averaged, instead of on luma.

    Raises:
        SettingsError: a side is shorter than 11 pixels.
    """
    check_pair(restored, target, SSIM_WINDOW, "ssim")
    return 1 - _ssim_terms(restored, target)[0].mean()


def ms_ssim_levels(height: int, width: int) -> int:
    """How many levels of MS-SSIM a picture has room for: 5 from 176 pixels on, one fewer at each half of that."""
    return min(len(MS_SSIM_WEIGHTS), int(math.log2(max(min(height, width) / SSIM_WINDOW, 1))) + 1)


def ms_ssim(restored: Tensor, target: Tensor) -> Tensor:
    """1 - MS-SSIM, Wang, Simoncelli, Bovik 2003: the contrast terms of five sizes, the luminance of the smallest.

    Departures: on the channels of RGB, averaged; pictures below 176 pixels have as many levels as their size allows,
    with the first weights scaled to the sum 1; a level is the mean of 2×2 pixels, an odd last row or column left out
    (pytorch-msssim pads it with zeros); a mean contrast term below 1e-4 counts as 1e-4, without a gradient (relu
    there has a gradient that is no number).

    Raises:
        SettingsError: a side is shorter than 11 pixels.
    """
    check_pair(restored, target, SSIM_WINDOW, "ms_ssim")
    levels = ms_ssim_levels(*restored.shape[-2:])
    weights = [weight / sum(MS_SSIM_WEIGHTS[:levels]) for weight in MS_SSIM_WEIGHTS[:levels]]
    product = torch.ones((), device=restored.device)
    for level, weight in enumerate(weights):
        if level:
            restored, target = F.avg_pool2d(restored, 2), F.avg_pool2d(target, 2)
        whole, contrast = _ssim_terms(restored, target)
        term = whole if level == levels - 1 else contrast
        product = product * term.clamp_min(_SMALLEST) ** weight
    return 1 - product.mean()


def ms_ssim_l1(restored: Tensor, target: Tensor) -> Tensor:
    """0.84 · (1 - MS-SSIM) + 0.16 · L1, Zhao, Gallo, Frosio, Kautz 2017.

    Departures: those of :func:`ms_ssim`; L1 is the plain mean, where the paper weighs it by the Gaussian of the
    coarsest level around each pixel, which in the mean over a picture differs at its border only.
    """
    return MIX * ms_ssim(restored, target) + (1 - MIX) * l1(restored, target)


def _ssim_terms(restored: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM and its contrast-structure part, means over the pixels, each ``[N, C]``."""
    channels = restored.shape[1]
    positions = torch.arange(SSIM_WINDOW, device=restored.device, dtype=torch.float32) - SSIM_WINDOW // 2
    window = torch.exp(-positions.square() / (2 * SSIM_SIGMA**2))
    window = (window / window.sum()).expand(5 * channels, 1, 1, -1)
    x, y = restored.float(), target.float()
    means = F.conv2d(torch.cat((x, y, x * x, y * y, x * y), 1), window, groups=5 * channels)
    means = F.conv2d(means, window.transpose(2, 3), groups=5 * channels)
    mean_x, mean_y, square_x, square_y, product = means.chunk(5, 1)
    variances = square_x - mean_x.square() + square_y - mean_y.square()
    contrast = (2 * (product - mean_x * mean_y) + _C2) / (variances + _C2)
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x.square() + mean_y.square() + _C1)
    return (luminance * contrast).mean((2, 3)), contrast.mean((2, 3))
