"""The loss network: VGG-16 up to relu4_3 (Simonyan & Zisserman 2014), with the original Caffe weights.

The weights are torchvision's ``VGG16_Weights.IMAGENET1K_FEATURES``: the ones that the style-transfer papers used,
on RGB 0..255 less :data:`MEAN_RGB`. (``IMAGENET1K_V1``, torchvision's own training, stylizes differently.)
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

from styletransfer.core.download import cache_dir, download
from styletransfer.core.errors import InputError

MEAN_RGB = (123.68, 116.779, 103.939)
"""Mean of ImageNet's training pictures, RGB 0..255, as the Caffe weights expect it subtracted."""

WIDTHS = (64, 128, 256, 512)
"""Channels of VGG-16's first four stages."""

_DEPTHS = (2, 2, 3, 3)  # convolutions a stage
LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
"""Names of what :meth:`VGGFeatures.forward` returns: each stage's last ReLU."""

_CONV5_1 = 24  # its number in torchvision's network

ENVIRONMENT = "STYLETRANSFER_VGG16"
_URL = "https://download.pytorch.org/models/vgg16_features-amdegroot-88682ab5.pth"
_HASH_PREFIX = "88682ab5"


class VGGFeatures(nn.Module):
    """VGG-16's convolutions up to relu4_3, frozen.

    Args:
        widths: channels of the four stages; tests use thin ones.

    Attributes:
        conv5_1: the next convolution, frozen too, where the weights' file holds it; Gatys et al. 2016 use it.
        saves_memory: asks those who optimise pictures to compute feature maps twice instead of keeping them.
    """

    def __init__(self, widths: tuple[int, int, int, int] = WIDTHS) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        inputs = 3
        for width, depth in zip(widths, _DEPTHS, strict=True):
            stage = nn.Sequential()
            for _ in range(depth):
                stage.extend((nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)))
                inputs = width
            self.stages.append(stage)
        self.conv5_1: nn.Conv2d | None = None
        self.saves_memory = False
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor(MEAN_RGB).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, picture_bchw: Tensor, last: str = LAYERS[-1]) -> dict[str, Tensor]:
        """Features of RGB ``[N, 3, H, W]`` 0..255, from relu1_2 up to and including the layer ``last``.

        Returns:
            Layer name to ``[N, C, H / s, W / s]`` in the network's own dtype; s = 1, 2, 4, 8.
        """
        x = (picture_bchw - self.mean).to(self.convolutions()[0].weight.dtype)
        features: dict[str, Tensor] = {}
        for index, (name, stage) in enumerate(zip(LAYERS, self.stages, strict=True)):
            if index:
                x = F.max_pool2d(x, 2)
            x = stage(x)
            features[name] = x
            if name == last:
                return features
        raise ValueError(f"last is {last!r}; allowed: {', '.join(LAYERS)}")

    @property
    def first_stage(self) -> nn.Sequential:
        """The convolutions up to relu1_2."""
        stage = self.stages[0]
        assert isinstance(stage, nn.Sequential)
        return stage

    def later_stages(self, pooled: Tensor) -> dict[str, Tensor]:
        """Features from relu2_2 on, of a pooled relu1_2; only they are kept, not what lies between (checkpointing)."""
        features: dict[str, Tensor] = {}
        x = pooled
        for index in range(1, len(LAYERS)):
            segment = self.stages[index] if index == 1 else nn.Sequential(nn.MaxPool2d(2), self.stages[index])
            x = checkpoint(segment, x, use_reentrant=False) if torch.is_grad_enabled() else segment(x)
            features[LAYERS[index]] = x
        return features

    def convolutions(self) -> list[nn.Conv2d]:
        """The ten convolutions in order."""
        return [module for module in self.stages.modules() if isinstance(module, nn.Conv2d)]


def load_vgg(path: Path | None = None, on_progress: Callable[[int, int | None], None] | None = None) -> VGGFeatures:
    """VGG-16 with the Caffe weights.

    Args:
        path: a ``.safetensors`` or ``.pth`` file with torchvision's key names (``features.0.weight``, ... or
            ``0.weight``, ...); ``None``: the file that :data:`ENVIRONMENT` names, else the cached download, else a
            download of 528 MB, once, with its hash checked.
        on_progress: called with bytes done and bytes in all while downloading.

    Raises:
        InputError: the file is missing, damaged or holds other weights.
        DownloadError: the download failed; the message says what to do.
    """
    if path is None and os.environ.get(ENVIRONMENT):
        path = Path(os.environ[ENVIRONMENT])
    if path is None:
        path = cached_weights()
        if not path.exists():
            download(_URL, path, sha256_prefix=_HASH_PREFIX, on_progress=on_progress)
    return _from_state(_read(path), path)


def cached_weights() -> Path:
    """Where the downloaded weights lie, or will lie."""
    return cache_dir() / "vgg16_features-88682ab5.pth"


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"{path}: no such VGG-16 weights file; leave --vgg out to download it")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        return dict(state)
    except Exception as error:  # both readers raise errors of many kinds
        raise InputError(
            f"{path}: not readable as VGG-16 weights (.safetensors or .pth expected): {type(error).__name__}"
        ) from error


def _from_state(state: dict[str, Tensor], path: Path) -> VGGFeatures:
    """Sort torchvision's numbered convolutions into stages; layers behind conv5_1 are left out."""
    numbered = {
        (int(match[1]), match[2]): value
        for key, value in state.items()
        if (match := re.fullmatch(r"(?:features\.)?(\d+)\.(weight|bias)", str(key)))
    }
    indices = sorted({index for index, _ in numbered})[: sum(_DEPTHS)]
    vgg = VGGFeatures()
    try:
        for index, conv in zip(indices, vgg.convolutions(), strict=True):
            conv.load_state_dict({kind: numbered[index, kind] for kind in ("weight", "bias")})
    except (ValueError, KeyError, RuntimeError) as error:
        raise InputError(
            f"{path}: these are not VGG-16's weights (torchvision's names features.0 … features.21 expected)"
        ) from error
    fifth = nn.Conv2d(WIDTHS[-1], WIDTHS[-1], 3, padding=1).requires_grad_(False)
    with contextlib.suppress(KeyError, RuntimeError):  # it is not there: few need it
        fifth.load_state_dict({kind: numbered[_CONV5_1, kind] for kind in ("weight", "bias")})
        vgg.conv5_1 = fifth
    return vgg
