"""The multi-scale discriminative feature loss (MDF): Mustafa, Mikhailiuk, Iliescu, Babbar, Mantiuk, WACV 2022.

Eight small discriminators, trained on one picture against one kind of distortion
(:mod:`styletransfer.training.mdf_training`), look at the restored picture and at the target; the loss is the
difference of what they see.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from styletransfer.core.errors import InputError
from styletransfer.core.files import atomic_path
from styletransfer.training.losses.pixel import check_pair

ENVIRONMENT = "STYLETRANSFER_MDF"
"""Names the folder with the authors' discriminators, ``discriminators_sisr.safetensors`` and ``..._jpeg...``."""

DISCRIMINATORS = 8
"""The loss takes the first eight of a file, coarse to fine; a file may hold fewer."""

SMALLEST_SIDE = 11
"""Pixels: five 3×3 convolutions without padding look at that much."""

_BLOCKS = 3
_SLOPE = 0.2


class Discriminator(nn.Module):
    """A SinGAN discriminator (Shaham, Dekel, Michaeli 2019): five 3×3 convolutions, no padding, batch norm, leaky ReLU.

    Its parameters have the names of the authors' files: ``head.conv.weight``, ``body.block1.norm.bias``,
    ``tail.weight``, ...

    Args:
        channels: of the four hidden layers.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.head = conv_block(3, channels)
        self.body = nn.Sequential()
        for index in range(_BLOCKS):
            self.body.add_module(f"block{index + 1}", conv_block(channels, channels))
        self.tail = nn.Conv2d(channels, 1, 3)

    def features(self, picture_bchw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What head, body and tail make of RGB ``[N, 3, H, W]`` 0..1: 2, 8 and 10 pixels smaller."""
        head = self.head(picture_bchw)
        body = self.body(head)
        return head, body, self.tail(body)

    def forward(self, picture_bchw: Tensor) -> Tensor:
        """The score of every 11×11 patch, ``[N, 1, H - 10, W - 10]``: high where it looks real."""
        return self.features(picture_bchw)[2]


def conv_block(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution, batch norm and leaky ReLU under SinGAN's names."""
    block = nn.Sequential()
    block.add_module("conv", nn.Conv2d(inputs, outputs, 3))
    block.add_module("norm", nn.BatchNorm2d(outputs))
    block.add_module("relu", nn.LeakyReLU(_SLOPE))
    return block


class MDFLoss(nn.Module):
    """Σ over the discriminators Σ over {head, body, tail} mean (D(x̂) - D(x))².

    No pyramid: every discriminator sees the pictures at full resolution. Batch norm is in eval mode, always. The
    input range is 0..1, as in the authors' example. No departures from their formula.

    Args:
        discriminators: trained ones; they are frozen.
    """

    def __init__(self, discriminators: Iterable[Discriminator]) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(discriminators)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> MDFLoss:
        """Stay in eval mode, whatever the module around this one does: batch norm must not follow its batches."""
        del mode
        return super().train(False)

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        """The loss of RGB ``[N, 3, H, W]`` 0..1, mean over the batch.

        Raises:
            SettingsError: a side is shorter than 11 pixels.
        """
        check_pair(restored, target, SMALLEST_SIDE, "mdf")
        loss = restored.new_zeros(())
        for discriminator in self.discriminators:
            assert isinstance(discriminator, Discriminator)
            with torch.no_grad():
                wanted = discriminator.features(target)
            for found, aim in zip(discriminator.features(restored), wanted, strict=True):
                loss = loss + (found - aim).square().mean()
        return loss


def released_file(task: str) -> Path:
    """The authors' discriminators for ``sisr`` or ``jpeg``, in the folder that :data:`ENVIRONMENT` names.

    Raises:
        InputError: the variable is not set, or the file is not there.
    """
    folder, name = os.environ.get(ENVIRONMENT, ""), f"discriminators_{task}.safetensors"
    if not folder:
        raise InputError(
            f"mdf_{task} needs the authors' {name}: set {ENVIRONMENT} to its folder, "
            "or train discriminators with `styletransfer train-mdf` and use mdf with --mdf FILE"
        )
    path = Path(folder) / name
    if not path.is_file():
        raise InputError(f"{path}: no such file; {ENVIRONMENT} must name the folder that holds {name}")
    return path


def read_discriminators(path: Path, most: int = DISCRIMINATORS) -> list[Discriminator]:
    """The discriminators of a ``.safetensors`` file with keys ``<index>.<layer>``, coarse to fine.

    Args:
        path: the authors' file or one that ``train-mdf`` wrote.
        most: how many of them, from the coarsest on.

    Raises:
        InputError: there is no such file, it is damaged, or holds something else.
    """
    from safetensors.torch import load_file

    if not path.is_file():
        raise InputError(f"{path}: no such file of MDF discriminators; `styletransfer train-mdf` writes one")
    try:
        tensors = load_file(path)
    except Exception as error:  # the reader raises errors of many kinds
        raise InputError(f"{path}: not readable as .safetensors, the format of MDF discriminators") from error
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if match := re.fullmatch(r"(\d+)\.(.+)", key):
            states.setdefault(int(match[1]), {})[match[2]] = value
    try:
        return [_from_state(states[index]) for index in range(min(most, max(len(states), 1)))]
    except (KeyError, RuntimeError, IndexError) as error:
        raise InputError(
            f"{path}: these are no MDF discriminators (keys 0.head.conv.weight … 7.tail.bias expected)"
        ) from error


def write_discriminators(path: Path, discriminators: Iterable[Discriminator], source: str) -> None:
    """Write them as :func:`read_discriminators` reads them, whole or not at all.

    Args:
        path: a ``.safetensors`` file.
        discriminators: coarse to fine.
        source: what made them, for the file's metadata.
    """
    from safetensors.torch import save

    tensors = {
        f"{index}.{key}": value.detach().cpu().contiguous()
        for index, discriminator in enumerate(discriminators)
        for key, value in discriminator.state_dict().items()
    }
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, {"source": source}))


def _from_state(state: dict[str, Tensor]) -> Discriminator:
    discriminator = Discriminator(state["head.conv.weight"].shape[0])
    discriminator.load_state_dict(state)
    if not all(bool(torch.isfinite(value).all()) for value in state.values()):
        raise RuntimeError("not all weights are finite")
    return discriminator.eval()
