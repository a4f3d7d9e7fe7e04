"""One scale of a SinGAN (Shaham, Dekel, Michaeli 2019): its generator, the pyramid's sizes, the steps of training."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from styletransfer.core.errors import InputError
from styletransfer.training.losses.mdf import DISCRIMINATORS, Discriminator, conv_block

COARSEST_SIDE = 25
"""The shorter side at the coarsest scale, pixels."""

FACTOR = 0.75
"""Between scales; adjusted a little, as SinGAN does, so that the coarsest has :data:`COARSEST_SIDE` exactly."""

PENALTY, RECONSTRUCTION = 0.1, 10.0
"""WGAN-GP's λ and the weight α of the generator's mean squared error."""

LEARNING_RATE, BETAS = 5e-4, (0.5, 0.999)
STEPS = 3
"""Steps of the discriminator, and then of the generator, in an iteration."""

_MARGIN = 5  # pixels that the generator's five unpadded convolutions take at each side


class Generator(nn.Module):
    """SinGAN's generator of one scale: five 3×3 convolutions on a zero-padded picture, added to the picture.

    Args:
        channels: of the hidden layers.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        blocks = [conv_block(3, channels), *(conv_block(channels, channels) for _ in range(3))]
        self.layers = nn.Sequential(*blocks, nn.Conv2d(channels, 3, 3), nn.Tanh())

    def forward(self, previous_bchw: Tensor, distortion_bchw: Tensor) -> Tensor:
        """The picture that this scale makes of the enlarged picture of the scale before, both ``[1, 3, H, W]``."""
        change: Tensor = self.layers(F.pad(previous_bchw + distortion_bchw, [_MARGIN] * 4))
        return previous_bchw + change


def pyramid_sizes(size_hw: tuple[int, int], largest: int) -> list[tuple[int, int]]:
    """Height and width of the scales, coarse to fine, at most eight: the loss uses no more.

    Raises:
        InputError: the picture is too small for two scales.
    """
    reduction = min(1.0, largest / max(size_hw))
    height, width = (side * reduction for side in size_hw)
    shorter = min(height, width)
    if shorter < COARSEST_SIDE / FACTOR:
        raise InputError(
            f"a picture of {size_hw[1]}x{size_hw[0]} pixels is {shorter:.0f} pixels high or wide in training; "
            f"allowed: {math.ceil(COARSEST_SIDE / FACTOR)} or more. Choose a larger picture, one less elongated, or a "
            "larger --size"
        )
    steps = math.ceil(math.log(COARSEST_SIDE / shorter) / math.log(FACTOR))
    factor = (COARSEST_SIDE / shorter) ** (1 / steps)
    sizes = [(round(height * factor**step), round(width * factor**step)) for step in range(steps, -1, -1)]
    return sizes[:DISCRIMINATORS]


def gradient_penalty(discriminator: Discriminator, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """WGAN-GP's mean (‖∇D‖ - 1)² at share · real + (1 - share) · fake, Gulrajani et al. 2017.

    The norm is that of a pixel's three channels, as in SinGAN's code.
    """
    between = (share * real + (1 - share) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    norms: Tensor = torch.linalg.vector_norm(slope, dim=1)
    return (norms - 1).square().mean()


def critic_steps(
    discriminator: Discriminator,
    generator: Generator,
    optimiser: torch.optim.Optimizer,
    target: Tensor,
    inputs: tuple[Tensor, Tensor],
    *,
    random: torch.Generator,
) -> float:
    """Teach the discriminator what the generator makes of ``inputs``; the last step's loss."""
    with torch.no_grad():
        fake = generator(*inputs)
    loss = target.new_zeros(())
    for _ in range(STEPS):
        share = torch.rand((), generator=random).to(target.device)
        loss = discriminator(fake).mean() - discriminator(target).mean()
        loss = loss + PENALTY * gradient_penalty(discriminator, target, fake, share)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return float(loss.detach())


def generator_steps(
    discriminator: Discriminator,
    generator: Generator,
    optimiser: torch.optim.Optimizer,
    target: Tensor,
    inputs: tuple[Tensor, Tensor],
) -> float:
    """Teach the generator to look real and to come near the picture; the last step's mean squared error."""
    error = target.new_zeros(())
    discriminator.requires_grad_(False)
    for _ in range(STEPS):
        fake = generator(*inputs)
        error = F.mse_loss(fake, target)
        loss = RECONSTRUCTION * error - discriminator(fake).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    discriminator.requires_grad_(True)
    return float(error.detach())
