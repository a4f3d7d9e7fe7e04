"""The image transformation networks: ``johnson`` (the paper's) and ``live`` (at a quarter of the resolution).

Both map RGB ``[N, 3, H, W]`` in 0..255 to RGB of the same shape, in a range slightly wider than 0..255 (clamped
by whoever makes a picture of it). ``H`` and ``W`` are multiples of :data:`SIZE_MULTIPLE` and at least 16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from styletransfer.core.errors import SettingsError

SIZE_MULTIPLE = 4
"""Both networks halve the resolution twice."""

_OUTPUT_SWING = 150.0
"""Johnson et al.'s scaled tanh: 127.5 ± 150, so that 0 and 255 lie where the gradient still flows."""


def scale_input(photo_bchw: Tensor) -> Tensor:
    """RGB 0..255 to -1..1."""
    return photo_bchw * (1 / 127.5) - 1.0


def scale_output(features_bchw: Tensor) -> Tensor:
    """Unbounded to 127.5 ± 150."""
    return torch.tanh(features_bchw) * _OUTPUT_SWING + 127.5


class ConvNorm(nn.Module):
    """Reflection padding, convolution, instance norm (Ulyanov et al. 2016) and, if ``relu``, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.pad = kernel // 2
        self.relu = relu
        # Instance norm subtracts the mean, so a bias before it would do nothing.
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, bias=False)
        self.norm = nn.InstanceNorm2d(outputs, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H / stride, W / stride]``."""
        x = self.norm(self.conv(F.pad(x, (self.pad,) * 4, mode="reflect")))
        return F.relu(x) if self.relu else x


class JohnsonResidual(nn.Module):
    """conv 3x3, norm, ReLU, conv 3x3, norm, plus the input; no ReLU after the addition (Gross & Wilber)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, 3)
        self.second = ConvNorm(channels, channels, 3, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to the same shape."""
        residual: Tensor = self.second(self.first(x))
        return x + residual


class JohnsonNet(nn.Module):
    """Johnson, Alahi, Fei-Fei 2016, supplementary material, table 1.

    Departures from the paper: instance norm for batch norm (Ulyanov et al. 2016; the authors' own released
    models do so too); reflection padding in every layer in place of one padding of 40 pixels and unpadded
    residual blocks; nearest-neighbour upsampling and a convolution in place of the strided transposed
    convolutions (Odena et al. 2016: no checkerboard).

    Args:
        channels: width of the residual blocks, 128 in the paper; the other layers scale with it.
        blocks: number of residual blocks.
    """

    def __init__(self, channels: int = 128, blocks: int = 5) -> None:
        super().__init__()
        quarter, half = channels // 4, channels // 2
        self.stem = nn.Sequential(
            ConvNorm(3, quarter, 9), ConvNorm(quarter, half, 3, 2), ConvNorm(half, channels, 3, 2)
        )
        self.body = nn.Sequential(*(JohnsonResidual(channels) for _ in range(blocks)))
        self.up = nn.ModuleList([ConvNorm(channels, half, 3), ConvNorm(half, quarter, 3)])
        self.last = nn.Conv2d(quarter, 3, 9)

    def forward(self, photo_bchw: Tensor) -> Tensor:
        """RGB ``[N, 3, H, W]`` 0..255 to the stylized RGB of the same shape."""
        x = self.body(self.stem(scale_input(photo_bchw)))
        for up in self.up:
            x = up(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return scale_output(self.last(F.pad(x, (4,) * 4, mode="reflect")))
