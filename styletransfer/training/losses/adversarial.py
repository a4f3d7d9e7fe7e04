"""The adversarial loss: a discriminator of patches that learns beside the restoring network.

Ledig et al. 2017 (SRGAN) weigh it by 0.001 and add a feature loss: ``--loss "vgg43 + 0.001*gan"``.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from styletransfer.training.losses.pixel import check_pair

SMALLEST_SIDE = 32
"""Pixels: three halvings and two 4×4 convolutions leave a 2×2 map of it."""


class PatchDiscriminator(nn.Module):
    """PatchGAN of Isola, Zhu, Zhou, Efros 2017: every score judges a patch of 70×70 pixels.

    Departure: instance norm instead of batch norm, so that one picture's score does not depend on the others.

    Args:
        channels: of the first layer; the next have twice, four and eight times as many.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 4, 2, 1), nn.LeakyReLU(0.2)]
        for factor, stride in ((2, 2), (4, 2), (8, 1)):
            inputs = channels * (4 if factor == 8 else factor // 2)
            layers += [nn.Conv2d(inputs, channels * factor, 4, stride, 1, bias=False)]
            layers += [nn.InstanceNorm2d(channels * factor, affine=True), nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(channels * 8, 1, 4, 1, 1)]
        self.layers = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, picture_bchw: Tensor) -> Tensor:
        """Logits ``[N, 1, H / 8 - 2, W / 8 - 2]`` of RGB ``[N, 3, H, W]`` 0..1: high where a patch looks real."""
        logits: Tensor = self.layers(2 * picture_bchw - 1)
        return logits


class AdversarialLoss(nn.Module):
    """-log D(x̂), SRGAN's eq. 4; :meth:`discriminator_step` trains D with the usual cross entropy.

    Departures from SRGAN: D judges patches instead of whole pictures, and the mean over the patches and the batch is
    taken instead of the sum.

    Args:
        learning_rate: of the discriminator's Adam.
        channels: of the discriminator's first layer.
    """

    def __init__(self, learning_rate: float = 1e-4, channels: int = 64) -> None:
        super().__init__()
        self.discriminator = PatchDiscriminator(channels)
        self.optimiser = torch.optim.Adam(self.discriminator.parameters(), learning_rate, fused=False)

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        """The restoring network's loss; D gets no gradient from it.

        Raises:
            SettingsError: a side is shorter than 32 pixels.
        """
        check_pair(restored, target, SMALLEST_SIDE, "gan")
        self.discriminator.requires_grad_(False)
        try:
            logits: Tensor = self.discriminator(restored)
        finally:
            self.discriminator.requires_grad_(True)
        return F.softplus(-logits).mean()

    def discriminator_step(self, restored: Tensor, target: Tensor) -> float:
        """One step of D on a batch: the target shall look real, the restored picture not. Returns D's loss before."""
        check_pair(restored, target, SMALLEST_SIDE, "gan")
        real, fake = self.discriminator(target), self.discriminator(restored.detach())
        loss = (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return float(loss.detach())

    def learned_state(self) -> dict[str, Any]:
        """What a resumed training needs: D's weights and Adam's state."""
        return {"discriminator": self.discriminator.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_learned_state(self, state: dict[str, Any]) -> None:
        """Take back a :meth:`learned_state`."""
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimiser.load_state_dict(copy.deepcopy(state["optimiser"]))  # Adam would go on in the caller's tensors
