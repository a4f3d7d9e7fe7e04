"""``compact``, the network for live use: 3×3 convolutions and ReLUs at the input's resolution or half of it.

The shape is that of the mobile super-resolution networks (Du et al. 2021, "Anchor-based Plain Net for Mobile Image
Super-Resolution"): a plain stack, a last convolution that writes all pixels of a block, and the input, repeated, added
to it. Every convolution is trained as the sum of three branches and becomes one (Ding et al. 2021, "RepVGG").

Departures: no batch norms in the branches, so that they are summed before the convolution rather than after it: the
same function for a third of the work (as Bhardwaj et al. 2022, "Collapsible Linear Blocks for Super-Efficient Super
Resolution", do). ReLU, not PReLU: onnxruntime computes it inside the convolution.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

_TAIL_GAIN = 0.02  # the first output is nearly the repeated input


class BranchConv(nn.Module):
    """3×3 convolution, zero padded, whose kernel is the sum of a 3×3, a 1×1 and, where it fits, an identity branch."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.square = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.point = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.has_identity = inputs == outputs
        nn.init.zeros_(self.square.bias)  # type: ignore[arg-type]
        for branch in (self.square, self.point):
            # Half the energy for the branches together where the identity carries the signal anyway.
            nn.init.kaiming_normal_(branch.weight, nonlinearity="relu")
            with torch.no_grad():
                branch.weight.mul_(0.35 if self.has_identity else 0.7)

    def kernel(self) -> Tensor:
        """The one kernel that does what the branches do, ``[outputs, inputs, 3, 3]``."""
        kernel = self.square.weight + F.pad(self.point.weight, (1, 1, 1, 1))
        return kernel + self._identity() if self.has_identity else kernel

    def load_kernel(self, kernel: Tensor, bias: Tensor) -> None:
        """Become the convolution with this kernel: all of it in the 3×3 branch that the others do not do."""
        with torch.no_grad():
            self.point.weight.zero_()
            self.square.weight.copy_(kernel - self._identity() if self.has_identity else kernel)
            self.square.bias.copy_(bias)  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` to ``[N, outputs, H, W]``."""
        return F.conv2d(x, self.kernel(), self.square.bias, padding=1)

    def _identity(self) -> Tensor:
        eye = torch.eye(self.square.out_channels, device=self.square.weight.device, dtype=self.square.weight.dtype)
        return F.pad(eye[:, :, None, None], (1, 1, 1, 1))


class CompactNet(nn.Module):
    """A stack of :class:`BranchConv` that adds to the repeated input what is missing in it.

    Args:
        scale: output side / input side: 1, 2 or 4.
        channels: of the stack.
        layers: 3×3 convolutions between the first and the last.
        stem: 1; or 2, where the first convolution takes every second pixel (4×4, stride 2) and all work happens at
            half the input's resolution. Height and width of the input are multiples of it.
    """

    def __init__(self, scale: int, channels: int = 32, layers: int = 6, stem: int = 1) -> None:
        super().__init__()
        self.scale, self.channels, self.layers, self.size_multiple = scale, channels, layers, stem
        self.block = scale * stem
        self.first = BranchConv(3, channels) if stem == 1 else nn.Conv2d(3, channels, 4, 2, 1)
        self.body = nn.ModuleList(BranchConv(channels, channels) for _ in range(layers))
        self.last = BranchConv(channels, 3 * self.block**2)
        with torch.no_grad():
            self.last.square.weight.mul_(_TAIL_GAIN)
            self.last.point.weight.mul_(_TAIL_GAIN)
        self.repeat: Tensor
        self.register_buffer("repeat", repeat_kernel(scale, stem), persistent=False)

    def forward(self, photo_bchw: Tensor) -> Tensor:
        """RGB ``[N, 3, H, W]`` 0..1 to the restored RGB ``[N, 3, scale · H, scale · W]``, not clamped."""
        x = F.relu(self.first(photo_bchw))
        for layer in self.body:
            x = F.relu(layer(x))
        missing = self.last(x)
        with torch.autocast(photo_bchw.device.type, enabled=False):  # bfloat16 would round the picture itself
            repeated = F.conv2d(photo_bchw, self.repeat, stride=self.size_multiple)
            return place_pixels(missing.float() + repeated, self.block)


def repeat_kernel(scale: int, stem: int) -> Tensor:
    """The convolution, with stride ``stem``, that repeats pixels ``scale`` times: ``[3 · block², 3, stem, stem]``."""
    block = scale * stem
    kernel = torch.zeros(block, block, 3, 3, stem, stem)
    for row in range(block):
        for column in range(block):
            kernel[row, column, :, :, row // scale, column // scale] = torch.eye(3)
    return kernel.reshape(3 * block**2, 3, stem, stem)


def place_pixels(x: Tensor, block: int) -> Tensor:
    """``[N, (row, column, RGB), H, W]`` to ``[N, 3, block · H, block · W]``.

    It is ``pixel_shuffle`` for another order of the channels, the one that ``GraphBuilder.write`` takes.
    """
    n, _, height, width = x.shape
    x = x.reshape(n, block, block, 3, height, width).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(n, 3, height * block, width * block)
