"""Losses that see pictures through a trained network: VGG-16's features, their Gram matrices, contextual, LPIPS.

Every class takes (restored, target), float32 RGB ``[N, 3, H, W]`` in 0..1, not clamped, and gives the mean over the
batch as a float32 scalar; equal pictures have the loss 0 (contextual: nearly), total variation apart. VGG-16 has the
Caffe weights, and its features are
divided by 255, as if it took pictures of 0..1: only so are weights like ``l1 + 0.01*vgg22`` of a handy size.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from styletransfer.core.errors import InputError, MissingExtraError
from styletransfer.training.losses.perceptual import content_loss, gram_matrix, smoothness_loss, style_loss
from styletransfer.training.losses.pixel import check_pair
from styletransfer.training.vgg import LAYERS, VGGFeatures

CONTEXTUAL_LAYER = "relu3_3"
CONTEXTUAL_BANDWIDTH = 0.5
CONTEXTUAL_POSITIONS = 1024
"""At most so many positions of a picture's feature map are compared, each with each."""

TRUNKS = {"vgg": "vgg16-397923af.pth", "alex": "alexnet-owt-7be5be79.pth"}
"""LPIPS's trunks and torchvision's files for them; the first that is there is taken."""

_SMALLEST_VGG = {name: 2**index for index, name in enumerate(LAYERS)}
_SMALLEST_METRIC = 32  # pixels: smaller ones do not come through the trunks


class FeatureLoss(nn.Module):
    """Feature reconstruction: mean (φ(x̂) - φ(x))², Johnson, Alahi, Fei-Fei 2016, eq. 2.

    Departure: the features are divided by 255 (see above), which divides the paper's loss by 255².

    Args:
        vgg: the loss network.
        layer: one of :data:`styletransfer.training.vgg.LAYERS`; the paper's super-resolution takes relu2_2.
    """

    def __init__(self, vgg: VGGFeatures, layer: str) -> None:
        super().__init__()
        self.vgg = vgg
        self.layer = layer

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        """The loss; SettingsError where a side is too short for the layer."""
        check_pair(restored, target, _SMALLEST_VGG[self.layer], self.layer)
        found, wanted = _features(self.vgg, restored, target, self.layer)
        return content_loss(found[self.layer], wanted[self.layer]) / 255**2


class StyleMatch(nn.Module):
    """Σ over relu1_2 … relu4_3 of the mean squared difference of the Gram matrices of restored picture and target.

    Gatys, Ecker, Bethge 2015; as a loss for enlarging: Sajjadi, Schölkopf, Hirsch 2017 (EnhanceNet). Departures: over
    the whole picture instead of over patches of 16 pixels; the features are divided by 255.
    """

    def __init__(self, vgg: VGGFeatures) -> None:
        super().__init__()
        self.vgg = vgg

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        """The loss; SettingsError where a side is shorter than 8 pixels."""
        check_pair(restored, target, _SMALLEST_VGG[LAYERS[-1]], "style")
        found, wanted = _features(self.vgg, restored, target, LAYERS[-1])
        terms = [style_loss(gram_matrix(found[name] / 255), gram_matrix(wanted[name] / 255)) for name in LAYERS]
        return torch.stack(terms).sum()


class TotalVariation(nn.Module):
    """Mean squared difference of neighbouring pixels of the restored picture; the target does not matter.

    Total variation of Mahendran & Vedaldi 2015 with β = 2. Departure: the mean instead of the sum, so that a weight
    serves every size.
    """

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        """The loss; SettingsError where a side is shorter than 2 pixels."""
        check_pair(restored, target, 2, "tv")
        return smoothness_loss(restored)


class ContextualLoss(nn.Module):
    """-log CX, Mechrez, Talmi, Zelnik-Manor 2018: every feature of the target shall be met somewhere in the result.

    d_ij is the cosine distance of φ(x̂)_i and φ(x)_j, both less the mean of φ(x); d̃_ij = d_ij / (min_k d_ik + 1e-5);
    w_ij = exp((1 - d̃_ij) / 0.5); CX_ij = w_ij / Σ_k w_ik; CX = mean_j max_i CX_ij. A picture's loss has its least
    value, near 0, where all its positions differ and each is met.

    Departures: relu3_3 of VGG-16 instead of layers of VGG-19; where the map has more than 1024 positions, those of
    an even grid stand for all (the distances grow with their square).

    Args:
        vgg: the loss network.
    """

    def __init__(self, vgg: VGGFeatures) -> None:
        super().__init__()
        self.vgg = vgg

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        """The loss; SettingsError where a side is shorter than 8 pixels, two positions of the map."""
        check_pair(restored, target, 2 * _SMALLEST_VGG[CONTEXTUAL_LAYER], "contextual")
        found, wanted = _features(self.vgg, restored, target, CONTEXTUAL_LAYER)
        return contextual_distance(_positions(found[CONTEXTUAL_LAYER]), _positions(wanted[CONTEXTUAL_LAYER])).mean()


def contextual_distance(found: Tensor, wanted: Tensor) -> Tensor:
    """-log CX of feature vectors ``[N, C, P]``, float32 ``[N]``; see :class:`ContextualLoss`."""
    centre = wanted.mean(2, keepdim=True)
    found, wanted = F.normalize(found - centre, dim=1), F.normalize(wanted - centre, dim=1)
    distances = (1 - found.transpose(1, 2) @ wanted).clamp_min(0)
    relative = distances / (distances.min(2, keepdim=True).values + 1e-5)
    affinity = torch.softmax((1 - relative) / CONTEXTUAL_BANDWIDTH, dim=2)
    return -affinity.max(1).values.mean(1).log()


def _positions(features: Tensor) -> Tensor:
    """The feature vectors ``[N, C, P]`` of a map, P at most :data:`CONTEXTUAL_POSITIONS`."""
    pixels = features.shape[2] * features.shape[3]
    stride = math.ceil(math.sqrt(pixels / CONTEXTUAL_POSITIONS))
    return features[:, :, ::stride, ::stride].flatten(2).float()


def _features(vgg: VGGFeatures, restored: Tensor, target: Tensor, last: str) -> tuple[dict[str, Tensor], ...]:
    """Both pictures' features up to ``last``; the target's without a gradient."""
    with torch.no_grad():
        wanted = vgg(target * 255, last=last)
    return vgg(restored * 255, last=last), wanted


class LearnedMetric(nn.Module):
    """A metric whose weights were fitted to people's judgements: LPIPS or ST-LPIPS, by their authors' packages.

    Args:
        metric: takes two pictures ``[N, 3, H, W]`` and ``normalize=True`` for 0..1, gives ``[N, 1, 1, 1]``.
        name: for messages.
    """

    def __init__(self, metric: nn.Module, name: str) -> None:
        super().__init__()
        self.metric = metric
        self.name = name
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> LearnedMetric:
        """Stay in eval mode: the metrics have dropout layers."""
        del mode
        return super().train(False)

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        """The loss; SettingsError where a side is shorter than 32 pixels."""
        check_pair(restored, target, _SMALLEST_METRIC, self.name)
        distances: Tensor = self.metric(restored, target.detach(), normalize=True)
        return distances.mean()


def load_stlpips() -> LearnedMetric:
    """ST-LPIPS, Ghildyal & Liu 2022, on AlexNet, whose weights its package ships. No departures.

    Raises:
        MissingExtraError: the package is not installed.
    """
    try:
        # the package imports them for its authors' own debugging
        with _placeholders(IPython="embed", torchsummary="summary"):
            from stlpips_pytorch import stlpips
    except ImportError as error:
        raise MissingExtraError(error.name or "stlpips_pytorch", "restore", "compute the loss stlpips") from error
    return LearnedMetric(stlpips.LPIPS(net="alex", variant="shift_tolerant", verbose=False), "stlpips")


def load_lpips() -> LearnedMetric:
    """LPIPS 0.1, Zhang, Isola, Efros, Shechtman, Wang 2018, on the VGG-16 or else the AlexNet that is on the disk.

    The package's own way would download the trunk; here its file must lie in torch's hub folder. No departures.

    Raises:
        MissingExtraError: the package is not installed.
        InputError: neither trunk is there, or its file is damaged.
    """
    try:
        import lpips
    except ImportError as error:
        raise MissingExtraError(error.name or "lpips", "restore", "compute the loss lpips") from error
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    trunk = next((name for name, file in TRUNKS.items() if (folder / file).is_file()), None)
    if trunk is None:
        raise InputError(
            f"lpips needs torchvision's VGG-16 or AlexNet: neither {' nor '.join(TRUNKS.values())} lies in {folder}; "
            f"put https://download.pytorch.org/models/{TRUNKS['alex']} there, or use stlpips, which needs no download"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lpips calls torchvision by names of old
        metric = lpips.LPIPS(net=trunk, pnet_rand=True, verbose=False)
    path = folder / TRUNKS[trunk]
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        # lpips's slices keep torchvision's numbers: slice2.5.weight is features.5.weight
        own = {key: state[f"features.{key.split('.', 1)[1]}"] for key in metric.net.state_dict()}
        metric.net.load_state_dict(own)
    except Exception as error:  # torch.load raises errors of many kinds
        raise InputError(f"{path}: not readable as torchvision's weights; remove it and download it again") from error
    return LearnedMetric(metric, "lpips")


@contextmanager
def _placeholders(**names: str) -> Iterator[None]:
    """Empty modules, each with one name in it, in place of those that are not installed."""
    made = []
    for module, name in names.items():
        try:
            __import__(module)
        except ImportError:
            placeholder = ModuleType(module)
            setattr(placeholder, name, None)
            sys.modules[module] = placeholder
            made.append(module)
    try:
        yield
    finally:
        for module in made:
            del sys.modules[module]
