"""The image transformation networks: ``johnson`` (the paper's) and ``live`` (at a quarter of the resolution).

Both map RGB ``[N, 3, H, W]`` in 0..255 to RGB of the same shape, in a range slightly wider than 0..255 (clamped
by whoever makes a picture of it). ``H`` and ``W`` are multiples of :data:`SIZE_MULTIPLE` and at least 16.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

SIZE_MULTIPLE = 4
"""Both networks halve the resolution twice."""

OUTPUT_CENTRE, OUTPUT_SWING = 127.5, 150.0
"""Johnson et al.'s scaled tanh: 127.5 ± 150, so that 0 and 255 lie where the gradient still flows."""


def scale_input(photo_bchw: Tensor) -> Tensor:
    """RGB 0..255 to -1..1."""
    return photo_bchw * (1 / 127.5) - 1.0


def scale_output(features_bchw: Tensor) -> Tensor:
    """Unbounded to 127.5 ± 150."""
    return torch.tanh(features_bchw) * OUTPUT_SWING + OUTPUT_CENTRE


class InstanceNorm(nn.Module):
    """Instance norm with scale and shift (Ulyanov, Vedaldi, Lempitsky 2016).

    Departure: ε is 1e-3, not 1e-5, so that the faint steps of a smooth sky are not amplified to full contrast.

    Args:
        channels: of the input.
        share: how many neighbouring channels share one scale and shift (the phases of :class:`UpConv`).
    """

    def __init__(self, channels: int, share: int = 1) -> None:
        super().__init__()
        self.share = share
        self.weight = nn.Parameter(torch.ones(channels // share))
        self.bias = nn.Parameter(torch.zeros(channels // share))
        self.eps = 1e-3

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to the same shape."""
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if self.share > 1:
            weight, bias = weight.repeat_interleave(self.share), bias.repeat_interleave(self.share)
        # A group norm of one channel a group is an instance norm, and keeps channels_last memory.
        if x.is_cuda or not torch.is_grad_enabled():
            return F.group_norm(x, x.shape[1], weight, bias, self.eps)
        normed: Tensor = _InstanceNormCPU.apply(x, weight, bias, self.eps)
        return normed


class _InstanceNormCPU(torch.autograd.Function):
    """Instance norm whose backward pass is a few passes over channels_last rows; torch's is 8 times slower."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        n, c, h, w = x.shape
        weight, bias = weight.to(x.dtype), bias.to(x.dtype)
        normed, mean, rstd = torch.native_group_norm(x, weight, bias, n, c, h * w, c, eps)
        ctx.save_for_backward(x, weight, mean, rstd)
        return normed

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, rstd = ctx.saved_tensors
        n, c, h, w = x.shape
        rows, grad = (t.permute(0, 2, 3, 1).reshape(n, h * w, c) for t in (x, grads[0]))
        mean, rstd = mean.float().view(n, 1, c), rstd.float().view(n, 1, c)
        centred = torch.addcmul((-mean * rstd).to(x.dtype), rows, rstd.to(x.dtype))
        sum_grad = grad.sum(1, keepdim=True, dtype=torch.float32)
        sum_product = (grad * centred).sum(1, keepdim=True, dtype=torch.float32)
        scale = weight.float() * rstd
        shift = torch.addcmul(
            (-scale * sum_grad / (h * w)).to(x.dtype), centred, (-scale * sum_product / (h * w)).to(x.dtype)
        )
        grad_x = torch.addcmul(shift, grad, scale.to(x.dtype))
        parameters = (sum_product.sum((0, 1)), sum_grad.sum((0, 1)))
        return grad_x.reshape(n, h, w, c).permute(0, 3, 1, 2), *parameters, None


class UpConv(nn.Module):
    """Nearest-neighbour ↑2 and 3x3 convolution, computed at the low resolution as four phases.

    Each output phase of "repeat every pixel, then convolve" is a convolution of the small picture whose kernel sums
    the taps that fall on the same pixel. That is the same function (but for the border, which repeats the outermost
    pixel) without a full-size intermediate. Unlike a free sub-pixel convolution (Shi et al. 2016) its phases agree
    on every constant input, which keeps the grid out (Odena et al. 2016).
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = False) -> None:
        super().__init__()
        convolution = nn.Conv2d(inputs, outputs, 3, bias=bias)
        self.weight = convolution.weight
        self.bias = convolution.bias

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to the phases ``[N, 4 · outputs, H, W]``: ``pixel_shuffle`` by 2 makes the picture."""
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        return F.conv2d(F.pad(x, (1,) * 4, mode="replicate"), phase_kernels(self.weight), bias)


def phase_kernels(weight: Tensor) -> Tensor:
    """Kernels of :class:`UpConv`: ``[outputs, inputs, 3, 3]`` to ``[4 · outputs, inputs, 3, 3]``."""
    # taps[phase, low-resolution offset, tap]: output pixel 2i + phase sees pixels (2i + phase + tap - 1) // 2.
    taps = weight.new_tensor([[[1, 0, 0], [0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 0], [0, 0, 1]]])
    outputs, inputs = weight.shape[:2]
    kernels = torch.einsum("auk,bvl,oikl->oabiuv", taps, taps, weight)
    return kernels.reshape(4 * outputs, inputs, 3, 3)


def base_kernels(phases: Tensor) -> Tensor:
    """The inverse of :func:`phase_kernels`."""
    a = phases.reshape(-1, 2, 2, *phases.shape[1:])  # [outputs, phase y, phase x, inputs, 3, 3]
    rows = torch.stack([a[:, 0, ..., 0, :], a[:, 0, ..., 1, :] - a[:, 1, ..., 2, :], a[:, 1, ..., 2, :]], dim=-2)
    columns = [rows[:, 0, ..., 0], rows[:, 0, ..., 1] - rows[:, 1, ..., 2], rows[:, 1, ..., 2]]
    return torch.stack(columns, dim=-1)


class ConvNorm(nn.Module):
    """Reflection padding, convolution, instance norm and, if ``relu``, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.pad = kernel // 2
        self.relu = relu
        # Instance norm subtracts the mean, so a bias before it would do nothing.
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, bias=False)
        self.norm = InstanceNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H / stride, W / stride]``."""
        x = self.norm(self.conv(F.pad(x, (self.pad,) * 4, mode="reflect")))
        return F.relu(x) if self.relu else x


class UpNorm(nn.Module):
    """:class:`UpConv`, instance norm with one scale and shift for the four phases, ReLU, pixel shuffle."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = UpConv(inputs, outputs)
        self.norm = InstanceNorm(4 * outputs, share=4)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, 2H, 2W]``."""
        return F.pixel_shuffle(F.relu(self.norm(self.conv(x))), 2)


class Residual(nn.Module):
    """conv 3x3, norm, ReLU, conv 3x3, norm, plus the input; no ReLU after the addition (Gross & Wilber 2016).

    The input is padded once, by 2 pixels, and the convolutions take one each.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, bias=False)
        self.first_norm = InstanceNorm(channels)
        self.second = nn.Conv2d(channels, channels, 3, bias=False)
        self.second_norm = InstanceNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to the same shape."""
        y = F.relu(self.first_norm(self.first(F.pad(x, (2,) * 4, mode="reflect"))))
        residual: Tensor = self.second_norm(self.second(y))
        return x + residual


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
        self.up = nn.Sequential(UpNorm(channels, half), UpNorm(half, quarter))
        self.last = nn.Conv2d(quarter, 3, 9)

    def forward(self, photo_bchw: Tensor) -> Tensor:
        """RGB ``[N, 3, H, W]`` 0..255 to the stylized RGB of the same shape."""
        x = self.up(self.body(self.stem(scale_input(photo_bchw))))
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
        self.last = UpConv(16, 3, bias=True)
        with torch.no_grad():  # a mid-grey start: the tanh is not saturated anywhere
            self.last.weight.mul_(0.1)
            self.last.bias.zero_()  # type: ignore[union-attr]

    def forward(self, photo_bchw: Tensor) -> Tensor:
        """RGB ``[N, 3, H, W]`` 0..255 to the stylized RGB of the same shape."""
        return scale_output(F.pixel_shuffle(self.phases(photo_bchw), 2))

    def phases(self, photo_bchw: Tensor) -> Tensor:
        """The output before :func:`scale_output` as the four phases of :class:`UpConv`, ``[N, 12, H/2, W/2]``."""
        x = F.relu(self.stem(F.pad(scale_input(photo_bchw), (1,) * 4, mode="reflect")))
        phases: Tensor = self.last(self.up(self.body(self.down(x))))
        return phases


NETWORKS: dict[str, type[LiveNet] | type[JohnsonNet]] = {"live": LiveNet, "johnson": JohnsonNet}
"""Networks by the names of :data:`styletransfer.core.settings.ARCHITECTURES`."""
