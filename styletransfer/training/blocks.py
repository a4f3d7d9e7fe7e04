"""Layers of the image transformation networks: norms, steps up, residual blocks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from styletransfer.core.errors import ModelError


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
    """Nearest-neighbour ↑2 and 3x3 convolution, computed at the low resolution as blocks of four pixels.

    Each pixel of "repeat every pixel, then convolve" is a convolution of the small picture whose kernel sums the taps
    that fall on the same pixel. The four pixels around a corner where four small ones meet see these four alone, so one
    2x2 convolution makes them: 16 products for four pixels, where the repeated picture takes 36 and blocks that begin
    with the small pixels, 3x3 of which they see, as many. It is the same function, but for the border, which repeats
    the outermost pixel. Unlike a free sub-pixel convolution (Shi et al. 2016) its phases agree on every constant input,
    which keeps the grid out (Odena et al. 2016).

    Args:
        inputs: channels.
        outputs: channels of the picture.
        bias: add one.
        pad: repeat the outermost pixel; without, the input has one pixel around the picture already.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = False, pad: bool = True) -> None:
        super().__init__()
        self.pad = pad
        convolution = nn.Conv2d(inputs, outputs, 3, bias=bias)
        self.weight = convolution.weight
        self.bias = convolution.bias

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to blocks ``[N, 4 · outputs, H + 1, W + 1]``.

        ``pixel_shuffle`` by 2 makes a picture of them that has one pixel more than twice the size on every side.
        """
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        x = F.pad(x, (1,) * 4, mode="replicate") if self.pad else x
        return F.conv2d(x, phase_kernels(self.weight), bias)


def phase_kernels(weight: Tensor) -> Tensor:
    """Kernels of :class:`UpConv`: ``[outputs, inputs, 3, 3]`` to ``[4 · outputs, inputs, 2, 2]``."""
    # taps[phase, small pixel, tap]: output pixel 2i + 1 + phase sees small pixels (2i + phase + tap) // 2 - i.
    taps = weight.new_tensor([[[1, 1, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 1]]])
    outputs, inputs = weight.shape[:2]
    kernels = torch.einsum("auk,bvl,oikl->oabiuv", taps, taps, weight)
    return kernels.reshape(4 * outputs, inputs, 2, 2)


def base_kernels(phases: Tensor) -> Tensor:
    """The inverse of :func:`phase_kernels`.

    Raises:
        ModelError: the kernels are 3x3: those of files from before 2x2 ones were found to do.
    """
    if phases.shape[-1] != 2:
        raise ModelError("an older version wrote it; write it again from its training: styletransfer export FOLDER")
    a = phases.reshape(-1, 2, 2, *phases.shape[1:])  # [outputs, phase y, phase x, inputs, 2, 2]
    rows = torch.stack([a[:, 1, ..., 0, :], a[:, 0, ..., 0, :] - a[:, 1, ..., 0, :], a[:, 0, ..., 1, :]], dim=-2)
    columns = [rows[:, 1, ..., 0], rows[:, 0, ..., 0] - rows[:, 1, ..., 0], rows[:, 0, ..., 1]]
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

    def __init__(self, inputs: int, outputs: int, pad: bool = True) -> None:
        super().__init__()
        self.conv = UpConv(inputs, outputs, pad=pad)
        self.norm = InstanceNorm(4 * outputs, share=4)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, 2H + 2, 2W + 2]``, unpadded 2H - 2: a pixel too many around."""
        return F.pixel_shuffle(F.relu(self.norm(self.conv(x))), 2)


def inside(x: Tensor) -> Tensor:
    """``[N, C, H, W]`` without the outermost pixel: ``[N, C, H - 2, W - 2]``."""
    return x[:, :, 1:-1, 1:-1]


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


_START_LENGTH = 3**-0.5  # of a kernel that torch has initialised


class GainConv(nn.Conv2d):
    """Convolution with weight normalisation (Salimans & Kingma 2016): ``gain · v / ‖v‖`` for each output channel.

    Without norms behind it, a plain weight's length and direction fight over Adam's one step size.

    Args:
        gain: to start with; √2 keeps the energy of what a ReLU let through (He et al. 2015).
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, padding: int = 1, gain: float = 2**0.5) -> None:
        super().__init__(inputs, outputs, 3, stride, padding)
        self.gain = nn.Parameter(torch.full((outputs,), gain))
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]

    def kernels(self) -> Tensor:
        """The weights that the convolution uses, ``[outputs, inputs, 3, 3]``."""
        kernels: Tensor = torch._weight_norm(self.weight, self.gain.view(-1, 1, 1, 1), 0)
        return kernels

    @torch.no_grad()
    def set_kernels(self, kernels: Tensor) -> None:
        """Use these, ``[outputs, inputs, 3, 3]``; v gets the length of a new network's, for an optimiser's steps."""
        lengths = kernels.flatten(1).norm(dim=1)
        self.gain.copy_(lengths)
        self.weight.copy_(kernels * (_START_LENGTH / lengths.clamp(min=1e-12)).view(-1, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H / stride, W / stride]``, zero padded."""
        return F.conv2d(x, self.kernels(), self.bias, self.stride, self.padding)


class PlainResidual(nn.Module):
    """conv 3x3, ReLU, conv 3x3, plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = GainConv(channels, channels)
        self.second = GainConv(channels, channels, gain=0.5)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to the same shape."""
        residual: Tensor = self.second(F.relu(self.first(x)))
        return x + residual
