"""The image transformation networks: ``johnson`` (the paper's), ``live`` (at a quarter of the resolution), ``plain``.

All map RGB ``[N, 3, H, W]`` in 0..255 to RGB of the same shape, in a range slightly wider than 0..255 (clamped
by whoever makes a picture of it). ``H`` and ``W`` are multiples of :data:`SIZE_MULTIPLE` and at least 16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from styletransfer.training.blocks import (
    ConvNorm,
    GainConv,
    PlainResidual,
    Residual,
    UpConv,
    UpNorm,
    inside,
    phase_kernels,
)

SIZE_MULTIPLE = 4
"""All networks halve the resolution twice."""

OUTPUT_CENTRE, OUTPUT_SWING = 127.5, 150.0
"""Johnson et al.'s scaled tanh: 127.5 ± 150, so that 0 and 255 lie where the gradient still flows."""


def scale_input(photo_bchw: Tensor) -> Tensor:
    """RGB 0..255 to -1..1."""
    return photo_bchw * (1 / 127.5) - 1.0


def scale_output(features_bchw: Tensor) -> Tensor:
    """Unbounded to 127.5 ± 150."""
    return torch.tanh(features_bchw) * OUTPUT_SWING + OUTPUT_CENTRE


class JohnsonNet(nn.Module):
    """Johnson, Alahi, Fei-Fei 2016, supplementary material, table 1.

    Departures from the paper: instance norm for batch norm (Ulyanov et al. 2016; the authors' own released models
    do so too); reflection padding in every layer in place of one of 40 pixels before unpadded residual blocks;
    :class:`UpNorm` in place of the strided transposed convolutions, which leave a checkerboard.

    Args:
        channels: width of the residual blocks, 128 in the paper; the other layers scale with it.
    """

    def __init__(self, channels: int = 128) -> None:
        super().__init__()
        quarter, half = channels // 4, channels // 2
        self.stem = nn.Sequential(
            ConvNorm(3, quarter, 9), ConvNorm(quarter, half, 3, 2), ConvNorm(half, channels, 3, 2)
        )
        self.body = nn.Sequential(*(Residual(channels) for _ in range(5)))
        self.up = nn.Sequential(UpNorm(channels, half), UpNorm(half, quarter, pad=False))
        self.last = nn.Conv2d(quarter, 3, 9)

    def forward(self, photo_bchw: Tensor) -> Tensor:
        """RGB ``[N, 3, H, W]`` 0..255 to the stylized RGB of the same shape."""
        x = inside(self.up(self.body(self.stem(scale_input(photo_bchw)))))
        return scale_output(self.last(F.pad(x, (4,) * 4, mode="reflect")))


class LiveNet(nn.Module):
    """Johnson et al.'s design brought to a quarter of the resolution, where pixels are cheap.

    Two strided convolutions, four residual blocks at a quarter of the resolution, and two :class:`UpConv` whose
    convolutions run at a quarter and at half of it: nothing but the output itself is ever full size.

    Args:
        channels: width of the residual blocks.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2)
        self.down = ConvNorm(16, channels, 3, 2)
        self.body = nn.Sequential(*(Residual(channels) for _ in range(4)))
        self.up = UpNorm(channels, 16)
        self.last = UpConv(16, 3, bias=True, pad=False)
        with torch.no_grad():  # a mid-grey start: the tanh is not saturated anywhere
            self.last.weight.mul_(0.1)
            self.last.bias.zero_()  # type: ignore[union-attr]

    def forward(self, photo_bchw: Tensor) -> Tensor:
        """RGB ``[N, 3, H, W]`` 0..255 to the stylized RGB of the same shape."""
        return inside(scale_output(F.pixel_shuffle(self.blocks(photo_bchw), 2)))

    def blocks(self, photo_bchw: Tensor) -> Tensor:
        """The output before :func:`scale_output` as :class:`UpConv` makes it, ``[N, 12, H/2 + 1, W/2 + 1]``."""
        x = F.relu(self.stem(F.pad(scale_input(photo_bchw), (1,) * 4, mode="reflect")))
        blocks: Tensor = self.last(self.up(self.body(self.down(x))))
        return blocks


class PlainNet(nn.Module):
    """:class:`LiveNet` with nothing but convolutions between one reflection padding and the output.

    Norms and paddings cost a CPU as much time as the convolutions, and a file of 8-bit integers gains nothing with
    them. In place of the norms the *photo* is brought to mean 0 and variance 1, once (:func:`normalise_contrast`); the
    convolutions are padded with zeros, and the padding of :data:`PLAIN_PAD` pixels keeps the frame that this would
    leave out of the picture. The output is linear: rounding to bytes cuts it off for nothing, a tanh costs a pass.
    A residual block is a fifth of its time; it has three, :data:`PLAIN_BLOCKS` of a live network's.

    Args:
        channels: width of the residual blocks.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        self.stem = GainConv(3, 16, 2)
        self.down = GainConv(16, channels, 2)
        self.body = nn.Sequential(*(PlainResidual(channels) for _ in PLAIN_BLOCKS))
        # At half the resolution 8 channels cost half of 16.
        self.up = GainConv(channels, channels // 4, padding=0)
        self.last = GainConv(channels // 4, 3, padding=0, gain=0.1)  # a mid-grey start

    def forward(self, photo_bchw: Tensor) -> Tensor:
        """RGB ``[N, 3, H, W]`` 0..255 to the stylized RGB of the same shape."""
        x = F.pad(normalise_contrast(photo_bchw), (PLAIN_PAD,) * 4, mode="reflect")
        x = self.body(F.relu(self.down(F.relu(self.stem(x)))))
        up_bias: Tensor = self.up.bias.repeat_interleave(4)  # type: ignore[union-attr]
        x = F.pixel_shuffle(F.relu(F.conv2d(x, phase_kernels(self.up.kernels()), up_bias)), 2)
        last_bias: Tensor = self.last.bias.repeat_interleave(4)  # type: ignore[union-attr]
        x = F.pixel_shuffle(F.conv2d(x, phase_kernels(self.last.kernels()), last_bias), 2)
        left = PLAIN_PAD - 3  # of the padding
        return x[:, :, left:-left, left:-left] * PLAIN_SWING + PLAIN_SWING


PLAIN_BLOCKS = (0, 2, 3)
"""Which residual blocks of a :class:`LiveNet` a :class:`PlainNet` begins with; the others are missed the least."""

PLAIN_PAD = 8
"""Pixels that :class:`PlainNet` pads a photo with, by reflection."""

PLAIN_SWING = 128.0
"""Its output -1..1 is 0..256, which onnxruntime turns into bytes in one step."""

CONTRAST_STRIDE, CONTRAST_FLOOR = 4, 0.01
"""Every how manyth pixel :func:`normalise_contrast` looks at, and what it adds to the variance."""


def normalise_contrast(photo_bchw: Tensor) -> Tensor:
    """RGB 0..255 to mean 0, variance 1 over a picture's own pixels and channels.

    The floor keeps an all but even picture from being blown up to full contrast.
    """
    x = scale_input(photo_bchw)
    sample = x[:, :, ::CONTRAST_STRIDE, ::CONTRAST_STRIDE]
    mean = sample.mean((1, 2, 3), keepdim=True)
    variance = (sample - mean).square().mean((1, 2, 3), keepdim=True)
    return (x - mean) * (variance + CONTRAST_FLOOR).rsqrt()


StyleNet = LiveNet | JohnsonNet | PlainNet
"""Any of them."""

NETWORKS: dict[str, type[LiveNet] | type[JohnsonNet] | type[PlainNet]] = {
    "live": LiveNet,
    "johnson": JohnsonNet,
    "plain": PlainNet,
}
"""Networks by the names of :data:`styletransfer.core.settings.ARCHITECTURES`."""
