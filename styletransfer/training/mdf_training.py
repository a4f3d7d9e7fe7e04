"""Phase 1 of the MDF loss: discriminators trained on one picture, Mustafa, Mikhailiuk, Iliescu, Babbar, Mantiuk 2022.

A SinGAN (Shaham, Dekel, Michaeli 2019) on the pyramid of the picture: at each scale, coarse to fine, a generator
makes x̃_k = G_k(up(x̃_{k-1}) + z_k) + up(x̃_{k-1}), z_k the task's distortion, and a discriminator learns to tell it from
the picture (WGAN-GP). The generators are thrown away; the discriminators are the loss
(:mod:`styletransfer.training.losses.mdf`).

Departures: pictures are 0..1 here as in the loss (SinGAN's are -1..1); only the eight scales that the loss uses are
trained; the coarsest generator, which has no previous one, gets the picture from one scale below; z_k of noise and
JPEG has a strength drawn anew for every iteration (the paper's strengths are not published); biases start at 0. For
the task sr z_k is 0, as in the paper. Three steps of each network make an iteration, as in SinGAN.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from styletransfer.core.bicubic import imresize
from styletransfer.core.damage import through_jpeg
from styletransfer.core.errors import CheckpointError, DivergedError
from styletransfer.core.files import atomic_path
from styletransfer.core.settings_mdf import MdfSettings
from styletransfer.training.losses.mdf import Discriminator
from styletransfer.training.singan import (
    BETAS,
    FACTOR,
    LEARNING_RATE,
    Generator,
    critic_steps,
    generator_steps,
    pyramid_sizes,
)

_DROP_AFTER = 0.8  # of the iterations; the learning rate is a tenth from there on (SinGAN: 1600 of 2000)
_CHANNELS, _CHANNELS_EVERY, _MOST_CHANNELS = 32, 4, 128  # they double every four scales
_SIGMAS = (5.0, 50.0)
_QUALITIES = (5, 50)


@dataclass(frozen=True)
class Step:
    """What a callback learns after an iteration.

    Attributes:
        scale: from 0, the coarsest.
        scales: how many there are.
        size_wh: the picture at this scale, pixels.
        iteration: how many of this scale are done.
        losses: critic (the Wasserstein distance that the discriminator sees, with its penalty) and error (the
            generator's mean squared error).
    """

    scale: int
    scales: int
    size_wh: tuple[int, int]
    iteration: int
    losses: dict[str, float]


def distortion(task: str, target_bchw: Tensor, random: torch.Generator) -> Tensor:
    """z_k: what the task does to the picture, of a random strength; zeros for ``sr``.

    Args:
        task: one of :data:`styletransfer.core.settings_mdf.MDF_TASKS`.
        target_bchw: float32 RGB ``[1, 3, H, W]``, 0..1, on the CPU.
        random: the source of chance.

    Returns:
        The difference to the distorted picture, the same shape.
    """
    if task == "noise":
        low, high = _SIGMAS
        sigma = low + (high - low) * float(torch.rand((), generator=random))
        return torch.randn(target_bchw.shape, generator=random) * (sigma / 255)
    if task == "jpeg":
        quality = int(torch.randint(_QUALITIES[0], _QUALITIES[1] + 1, (), generator=random))
        frame_hwc = (target_bchw[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        decoded = through_jpeg(frame_hwc, quality).astype(np.float32) / np.float32(255)
        return torch.from_numpy(decoded).permute(2, 0, 1)[None] - target_bchw
    return torch.zeros_like(target_bchw)


class PyramidTraining:
    """The training, scale by scale.

    Args:
        picture_hwc: RGB uint8 ``[H, W, 3]``.
        settings: what to train against, and for how long.
        device: where it runs.

    Attributes:
        generators, discriminators: of the scales that are done, coarse to fine, in eval mode.

    Raises:
        InputError: the picture is too small.
    """

    def __init__(self, picture_hwc: NDArray[np.uint8], settings: MdfSettings, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        self.sizes = pyramid_sizes(picture_hwc.shape[:2], settings.size)
        largest = imresize(picture_hwc, min(1.0, settings.size / max(picture_hwc.shape[:2])))
        picture = largest.astype(np.float32) / np.float32(255)
        height, width = (round(side * FACTOR) for side in self.sizes[0])
        self.below = _to_bchw(imresize(picture, (height, width)))
        self.targets = [_to_bchw(imresize(picture, size)) for size in self.sizes]
        self.digest = hashlib.sha256(picture_hwc.tobytes() + str(picture_hwc.shape).encode()).hexdigest()
        self.generators: list[Generator] = []
        self.discriminators: list[Discriminator] = []

    def run(
        self,
        on_step: Callable[[Step], None] = lambda _: None,
        should_stop: Callable[[], bool] = lambda: False,
        on_scale: Callable[[], None] = lambda: None,
    ) -> bool:
        """Train the scales that are not done yet.

        Args:
            on_step: called after every iteration.
            should_stop: asked before every iteration; the scale in work is given up.
            on_scale: called after every scale.

        Returns:
            Whether all scales are done.

        Raises:
            DivergedError: a loss is no longer a finite number.
        """
        for scale in range(len(self.generators), len(self.sizes)):
            if not self._train_scale(scale, on_step, should_stop):
                return False
            on_scale()
        return True

    def _train_scale(self, scale: int, on_step: Callable[[Step], None], should_stop: Callable[[], bool]) -> bool:
        # a scale's chance depends on nothing before it: a resumed training is an uninterrupted one
        random = torch.Generator().manual_seed(self.settings.seed * 64 + scale)
        generator, discriminator = self._new_networks(scale, random)
        optimisers = [
            torch.optim.Adam(network.parameters(), LEARNING_RATE, betas=BETAS) for network in (discriminator, generator)
        ]
        target = self.targets[scale].to(self.device)
        height, width = self.sizes[scale]
        for iteration in range(self.settings.iterations):
            if should_stop():
                return False
            if iteration == round(_DROP_AFTER * self.settings.iterations):
                for optimiser in optimisers:
                    optimiser.param_groups[0]["lr"] = LEARNING_RATE / 10
            previous = self._previous(scale, random)
            z = distortion(self.settings.task, self.targets[scale], random).to(self.device)
            critic = critic_steps(discriminator, generator, optimisers[0], target, (previous, z), random=random)
            error = generator_steps(discriminator, generator, optimisers[1], target, (previous, z))
            if not (math.isfinite(critic) and math.isfinite(error)):
                raise DivergedError(
                    f"the losses of scale {scale + 1} are no longer numbers at iteration {iteration + 1}; "
                    "try another --seed or another picture"
                )
            on_step(Step(scale, len(self.sizes), (width, height), iteration + 1, {"critic": critic, "error": error}))
        self.generators.append(generator.requires_grad_(False).eval())
        self.discriminators.append(discriminator.requires_grad_(False).eval())
        return True

    def _new_networks(self, scale: int, random: torch.Generator) -> tuple[Generator, Discriminator]:
        """This scale's networks: the previous scale's go on where they are as wide."""
        channels = min(_CHANNELS * 2 ** (scale // _CHANNELS_EVERY), _MOST_CHANNELS)
        generator, discriminator = Generator(channels), Discriminator(channels)
        for network in (generator, discriminator):
            for module in network.modules():
                if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
                    mean = 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0
                    nn.init.normal_(module.weight, mean, 0.02, generator=random)
                    assert module.bias is not None
                    nn.init.zeros_(module.bias)
        if scale % _CHANNELS_EVERY:
            generator.load_state_dict(self.generators[-1].state_dict())
            discriminator.load_state_dict(self.discriminators[-1].state_dict())
        return generator.to(self.device), discriminator.to(self.device)

    @torch.no_grad()
    def _previous(self, scale: int, random: torch.Generator) -> Tensor:
        """up(x̃_{k-1}): the picture that the scales before make, enlarged to this one."""
        made = self.below.to(self.device)
        for index in range(scale):
            z = distortion(self.settings.task, self.targets[index], random).to(self.device)
            made = self.generators[index](_enlarged(made, self.sizes[index]), z)
        return _enlarged(made, self.sizes[scale])

    def save(self, path: Path) -> None:
        """Write the scales that are done into one file, whole or not at all."""
        from safetensors.torch import save

        tensors = {
            f"{kind}.{index}.{key}": value.cpu().contiguous()
            for kind, networks in (("generator", self.generators), ("discriminator", self.discriminators))
            for index, network in enumerate(networks)
            for key, value in network.state_dict().items()
        }
        with atomic_path(path) as temporary:
            temporary.write_bytes(save(tensors, {"about": self._about()}))

    def resume(self, path: Path) -> None:
        """Take the scales back that :meth:`save` wrote.

        Raises:
            CheckpointError: the file is damaged, or of another picture or other settings.
        """
        from safetensors import safe_open

        try:
            with safe_open(path, "pt") as file:
                about = (file.metadata() or {}).get("about")
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no dict)
        except Exception as error:  # safetensors raises errors of many kinds
            raise CheckpointError(f"{path}: damaged; leave --resume out to start anew") from error
        if about != self._about():
            raise CheckpointError(
                f"{path}: is of another picture or other settings; give the same ones, or leave --resume out to "
                "start anew"
            )
        done = len({key.split(".")[1] for key in tensors})
        for scale in range(done):
            # what chance would have drawn is overwritten
            generator, discriminator = self._new_networks(scale, torch.Generator())
            for kind, network in (("generator", generator), ("discriminator", discriminator)):
                prefix = f"{kind}.{scale}."
                own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
                network.load_state_dict(own)
            self.generators.append(generator.requires_grad_(False).eval())
            self.discriminators.append(discriminator.requires_grad_(False).eval())

    def _about(self) -> str:
        return json.dumps({**dataclasses.asdict(self.settings), "picture": self.digest}, sort_keys=True)


def _enlarged(picture: Tensor, size_hw: tuple[int, int]) -> Tensor:
    return F.interpolate(picture, size_hw, mode="bicubic", align_corners=False)


def _to_bchw(picture_hwc: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(picture_hwc.clip(0, 1)).permute(2, 0, 1)[None].contiguous()
