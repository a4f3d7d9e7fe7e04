"""The published networks for enlarging and repairing photos, and all of them by name.

All map RGB ``[N, 3, H, W]`` in 0..1 to RGB ``[N, 3, scale · H, scale · W]``, not clamped, and have ``scale``,
``channels``, ``layers`` and ``size_multiple`` (height and width of the input are multiples of it).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from styletransfer.core.errors import SettingsError
from styletransfer.core.settings_restore import NETWORK_SIZES
from styletransfer.training.blocks import inside, phase_kernels
from styletransfer.training.restoration.compact import CompactNet

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
"""Mean colour of DIV2K, which EDSR takes away before its first layer."""

TANH_SWING = 150 / 255
"""Johnson et al.'s scaled tanh, as in the style networks: 127.5 ± 150 of 255, in 0..1."""


class UpBlock(nn.Module):
    """Nearest-neighbour ↑2, 3×3 convolution, batch norm, ReLU (Odena et al. 2016), computed at the low resolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, C, 2H, 2W]``."""
        x = F.conv2d(x, phase_kernels(self.conv.weight), padding=1)
        return F.relu(self.norm(inside(F.pixel_shuffle(x, 2))))


class NormResidual(nn.Module):
    """conv 3×3, batch norm, activation, conv 3×3, batch norm, plus the input."""

    def __init__(self, channels: int, activation: nn.Module) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.activation = activation
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to the same shape."""
        y = self.activation(self.first_norm(self.first(x)))
        residual: Tensor = self.second_norm(self.second(y))
        return x + residual


class JohnsonSRNet(nn.Module):
    """Johnson, Alahi, Fei-Fei 2016, supplementary material, tables 2 and 3: ×4 and ×8 (here ×2 too).

    9×9 convolution, residual blocks, one step up for each factor of 2, 9×9 convolution, scaled tanh.

    Departures: :class:`UpBlock` in place of convolutions with stride 1/2, which leave a checkerboard; the tanh is
    scaled to 127.5 ± 150 so that black and white have a gradient. The paper then matches the output's histogram to the
    low-resolution input's: :func:`styletransfer.core.match.match_histogram`.
    """

    def __init__(self, scale: int, channels: int = 64, layers: int = 4) -> None:
        super().__init__()
        self.scale, self.channels, self.layers, self.size_multiple = scale, channels, layers, 1
        self.first = nn.Conv2d(3, channels, 9, padding=4, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.body = nn.ModuleList(NormResidual(channels, nn.ReLU()) for _ in range(layers))
        self.up = nn.ModuleList(UpBlock(channels) for _ in range(int(math.log2(scale))))
        self.last = nn.Conv2d(channels, 3, 9, padding=4)
        with torch.no_grad():  # a mid-grey start: the tanh is not saturated anywhere
            self.last.weight.mul_(0.1)

    def forward(self, photo_bchw: Tensor) -> Tensor:
        """RGB ``[N, 3, H, W]`` 0..1 to the enlarged RGB, within 0.5 ± 150/255."""
        x = F.relu(self.first_norm(self.first(photo_bchw)))
        for layer in (*self.body, *self.up):
            x = layer(x)
        return 0.5 + TANH_SWING * torch.tanh(self.last(x).float())


class SRResNet(nn.Module):
    """Ledig et al. 2017, "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network".

    Departure: no biases in front of the batch norms, which would take them away. RGB in 0..1.
    """

    def __init__(self, scale: int, channels: int = 64, layers: int = 16) -> None:
        super().__init__()
        self.scale, self.channels, self.layers, self.size_multiple = scale, channels, layers, 1
        self.first = nn.Conv2d(3, channels, 9, padding=4)
        self.first_activation = nn.PReLU()
        self.body = nn.ModuleList(NormResidual(channels, nn.PReLU()) for _ in range(layers))
        self.after = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.after_norm = nn.BatchNorm2d(channels)
        steps = int(math.log2(scale))
        self.up = nn.ModuleList(nn.Conv2d(channels, 4 * channels, 3, padding=1) for _ in range(steps))
        self.up_activation = nn.ModuleList(nn.PReLU() for _ in range(steps))
        self.last = nn.Conv2d(channels, 3, 9, padding=4)

    def forward(self, photo_bchw: Tensor) -> Tensor:
        """RGB ``[N, 3, H, W]`` 0..1 to the enlarged RGB."""
        start = x = self.first_activation(self.first(photo_bchw))
        for layer in self.body:
            x = layer(x)
        x = start + self.after_norm(self.after(x))
        for conv, activation in zip(self.up, self.up_activation, strict=True):
            x = activation(F.pixel_shuffle(conv(x), 2))
        enlarged: Tensor = self.last(x)
        return enlarged.float()


class ScaledResidual(nn.Module):
    """conv 3×3, ReLU, conv 3×3, times a constant, plus the input."""

    def __init__(self, channels: int, residual_scale: float) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.residual_scale = residual_scale

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to the same shape."""
        residual: Tensor = self.second(F.relu(self.first(x)))
        return x + self.residual_scale * residual


class EDSR(nn.Module):
    """Lim et al. 2017, "Enhanced Deep Residual Networks for Single Image Super-Resolution".

    16 blocks of 64 channels are the authors' baseline; 32 blocks of 256, whose residuals are scaled by 0.1, the full
    network. RGB in 0..1 in place of 0..255.

    Args:
        scale: 2, 4 or 8.
        channels: of every layer; from 128 on the residuals are scaled by 0.1.
        layers: residual blocks.
    """

    def __init__(self, scale: int, channels: int = 64, layers: int = 16) -> None:
        super().__init__()
        self.scale, self.channels, self.layers, self.size_multiple = scale, channels, layers, 1
        residual_scale = 0.1 if channels >= 128 else 1.0
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1), persistent=False)
        self.first = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.ModuleList(ScaledResidual(channels, residual_scale) for _ in range(layers))
        self.after = nn.Conv2d(channels, channels, 3, padding=1)
        self.up = nn.ModuleList(nn.Conv2d(channels, 4 * channels, 3, padding=1) for _ in range(int(math.log2(scale))))
        self.last = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, photo_bchw: Tensor) -> Tensor:
        """RGB ``[N, 3, H, W]`` 0..1 to the enlarged RGB."""
        start = x = self.first(photo_bchw - self.mean)
        for layer in self.body:
            x = layer(x)
        x = start + self.after(x)
        for conv in self.up:
            x = F.pixel_shuffle(conv(x), 2)
        enlarged: Tensor = self.last(x)
        return enlarged.float() + self.mean


class DnCNN(nn.Module):
    """Zhang et al. 2017, "Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image Denoising".

    conv, ReLU; conv, batch norm, ReLU ...; conv: the noise, which is taken away from the photo.

    Departure: three channels, for photos in colour and in grey (three equal channels) alike.
    """

    def __init__(self, scale: int = 1, channels: int = 64, layers: int = 17) -> None:
        super().__init__()
        self.scale, self.channels, self.layers, self.size_multiple = scale, channels, layers, 1
        self.first = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(layers - 2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(layers - 2))
        self.last = nn.Conv2d(channels, 3, 3, padding=1, bias=False)
        with torch.no_grad():  # little noise to begin with
            self.last.weight.mul_(0.1)

    def forward(self, photo_bchw: Tensor) -> Tensor:
        """RGB ``[N, 3, H, W]`` 0..1 to the cleaned RGB of the same shape."""
        x = F.relu(self.first(photo_bchw))
        for conv, norm in zip(self.body, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
        noise: Tensor = self.last(x)
        return photo_bchw - noise.float()


RestoreNet = CompactNet | JohnsonSRNet | SRResNet | EDSR | DnCNN
"""Any of them."""

_KINDS: dict[str, type[JohnsonSRNet] | type[SRResNet] | type[EDSR] | type[DnCNN]] = {
    "johnson": JohnsonSRNet,
    "srresnet": SRResNet,
    "edsr": EDSR,
    "edsr-full": EDSR,
    "dncnn": DnCNN,
}


def build_restorer(name: str, scale: int, channels: int = 0, layers: int = 0, stem: int = 1) -> RestoreNet:
    """A freshly initialised network.

    Args:
        name: one of :data:`styletransfer.core.settings_restore.NETWORK_SIZES`.
        scale: output side / input side.
        channels: its width; 0 for the published one.
        layers: its depth; 0 for the published one.
        stem: of ``compact`` only.

    Raises:
        SettingsError: no such network, or not for this scale.
    """
    if name not in NETWORK_SIZES:
        raise SettingsError(f"the network {name!r} is unknown; allowed: {', '.join(NETWORK_SIZES)}")
    size = NETWORK_SIZES[name]
    if scale not in size.scales:
        raise SettingsError(f"{name} does not enlarge {scale} times; allowed: {', '.join(map(str, size.scales))}")
    width, depth = channels or size.channels, layers or size.layers
    if name == "compact":
        return CompactNet(scale, width, depth, stem)
    return _KINDS[name](scale, width, depth)


def has_batch_norm(network: nn.Module) -> bool:
    """Whether its training needs statistics that an exported file has no longer."""
    return any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
