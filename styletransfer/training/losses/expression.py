"""Losses of restoration by name, and weighted sums of them as a user writes them: ``l1 + 0.01*vgg22``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from styletransfer.core.errors import SettingsError
from styletransfer.training.losses import adversarial, features, mdf, pixel
from styletransfer.training.vgg import LAYERS, VGGFeatures, load_vgg

PixelLoss = Callable[[Tensor, Tensor], Tensor]
"""(restored, target), both float32 RGB ``[N, 3, H, W]`` in 0..1, not clamped → scalar, the mean over the batch."""


@dataclass
class LossResources:
    """What losses are built from; nothing is loaded before a loss asks for it.

    Attributes:
        load_vgg: gives the loss network; called once at most, however many losses need it.
        mdf: file of discriminators for ``mdf``.
    """

    load_vgg: Callable[[], VGGFeatures] = load_vgg
    mdf: Path | None = None
    _vgg: VGGFeatures | None = field(default=None, init=False, repr=False)

    def vgg(self) -> VGGFeatures:
        """The loss network, loaded at the first call."""
        if self._vgg is None:
            self._vgg = self.load_vgg()
        return self._vgg


@dataclass(frozen=True)
class LossEntry:
    """One loss that has a name.

    Attributes:
        build: makes it.
        help: one line with its source; the docstring of what is built has its departures.
    """

    build: Callable[[LossResources], PixelLoss]
    help: str


def _plain(function: PixelLoss, help: str) -> LossEntry:
    return LossEntry(lambda _: function, help)


def _vgg(layer: str) -> LossEntry:
    return LossEntry(
        lambda resources: features.FeatureLoss(resources.vgg(), layer),
        f"VGG-16 features at {layer}, of 0..1 pictures (Johnson et al. 2016)",
    )


def _released_mdf(task: str, what: str) -> LossEntry:
    return LossEntry(
        lambda _: mdf.MDFLoss(mdf.read_discriminators(mdf.released_file(task))),
        f"MDF with the authors' discriminators for {what} (Mustafa et al. 2022)",
    )


def _own_mdf(resources: LossResources) -> PixelLoss:
    if resources.mdf is None:
        raise SettingsError(
            "the loss mdf needs a file of discriminators: give it with --mdf FILE (`styletransfer train-mdf` writes "
            "one), or use mdf_sisr or mdf_jpeg"
        )
    return mdf.MDFLoss(mdf.read_discriminators(resources.mdf))


LOSSES: dict[str, LossEntry] = {
    "l1": _plain(pixel.l1, "mean absolute difference"),
    "l2": _plain(pixel.l2, "mean squared difference"),
    "charbonnier": _plain(pixel.charbonnier, "smooth L1, ε 0.001 (Lai et al. 2017)"),
    "pyramid": _plain(pixel.pyramid, "L1 of the means of 4×4 to 16×16 pixels: flat areas"),
    "ssim": _plain(pixel.ssim, "1 - SSIM on RGB (Wang et al. 2004)"),
    "ms_ssim": _plain(pixel.ms_ssim, "1 - MS-SSIM on RGB, fewer levels on small crops (Wang et al. 2003)"),
    "ms_ssim_l1": _plain(pixel.ms_ssim_l1, "0.84 MS-SSIM + 0.16 L1 (Zhao et al. 2017)"),
    **{f"vgg{layer[4]}{layer[6]}": _vgg(layer) for layer in LAYERS},
    "style": LossEntry(
        lambda resources: features.StyleMatch(resources.vgg()),
        "Gram matrices of VGG-16's features (Gatys et al. 2015, Sajjadi et al. 2017)",
    ),
    "tv": LossEntry(lambda _: features.TotalVariation(), "total variation of the result (Mahendran & Vedaldi 2015)"),
    "contextual": LossEntry(
        lambda resources: features.ContextualLoss(resources.vgg()),
        "contextual loss at relu3_3 (Mechrez et al. 2018)",
    ),
    "lpips": LossEntry(lambda _: features.load_lpips(), "LPIPS (Zhang et al. 2018)"),
    "stlpips": LossEntry(lambda _: features.load_stlpips(), "ST-LPIPS (Ghildyal & Liu 2022)"),
    "gan": LossEntry(
        lambda _: adversarial.AdversarialLoss(), "adversarial, PatchGAN (Ledig et al. 2017, Isola et al. 2017)"
    ),
    "mdf_sisr": _released_mdf("sisr", "super-resolution"),
    "mdf_jpeg": _released_mdf("jpeg", "JPEG"),
    "mdf": LossEntry(_own_mdf, "MDF with the discriminators of --mdf FILE (Mustafa et al. 2022)"),
}
"""Every loss by its name in an expression."""

_TERM = re.compile(r"(?:(?P<weight>[^*]+)\*)?(?P<name>[a-z][a-z0-9_]*)")


def parse_loss(text: str) -> list[tuple[float, str]]:
    """``l1 + 0.01*vgg22`` as ``[(1.0, "l1"), (0.01, "vgg22")]``.

    Raises:
        SettingsError: a name is unknown or comes twice, a weight is no positive number, or the text is no such sum.
    """
    terms: list[tuple[float, str]] = []
    # a plus in 1e+3 belongs to the number
    for part in re.split(r"(?<![0-9.][eE])\+", text):
        match = _TERM.fullmatch("".join(part.split()))
        if not match:
            raise SettingsError(f"the loss {text!r} is no weighted sum; allowed: terms like l1 + 0.01*vgg22")
        name = match["name"]
        if name not in LOSSES:
            raise SettingsError(f"the loss {name!r} is unknown; allowed: {', '.join(LOSSES)}")
        if name in [known for _, known in terms]:
            raise SettingsError(f"the loss {text!r} has {name} twice; add its weights up")
        try:
            weight = float(match["weight"] or 1)
        except ValueError:
            weight = math.nan
        if not 0 < weight < math.inf:
            raise SettingsError(f"the weight {match['weight']!r} of {name} is not allowed; use a number above 0")
        terms.append((weight, name))
    return terms


class WeightedLoss(nn.Module):
    """Σ weight · loss, as an expression names them.

    Args:
        terms: what :func:`parse_loss` gives.
        losses: the built ones, by name.
    """

    def __init__(self, terms: list[tuple[float, str]], losses: dict[str, PixelLoss]) -> None:
        super().__init__()
        self.weights = {name: weight for weight, name in terms}
        self.functions = losses
        # registered, so that .to(device) moves them
        self.networks = nn.ModuleDict({name: loss for name, loss in losses.items() if isinstance(loss, nn.Module)})

    def forward(self, restored: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and the parts it consists of, weights included, without gradient.

        Args:
            restored: the network's output, float32 RGB ``[N, 3, H, W]`` 0..1, not clamped.
            target: what it should be, the same shape.

        Raises:
            SettingsError: the pictures are too small for a loss.
            ValueError: the shapes differ.
        """
        parts = {name: weight * self.functions[name](restored, target) for name, weight in self.weights.items()}
        total = restored.new_zeros(())
        for part in parts.values():
            total = total + part
        return total, {name: part.detach() for name, part in parts.items()}

    def discriminator_step(self, restored: Tensor, target: Tensor) -> dict[str, float]:
        """Train the adversarial terms' discriminators on a batch; their losses by name, nothing without such terms."""
        return {
            f"{name}_discriminator": loss.discriminator_step(restored, target)
            for name, loss in self.networks.items()
            if isinstance(loss, adversarial.AdversarialLoss)
        }

    def learned_state(self) -> dict[str, Any]:
        """What a resumed training needs beside the network: the discriminators and their optimisers; mostly empty.

        ``state_dict`` would hold the frozen loss networks too.
        """
        return {
            name: loss.learned_state()
            for name, loss in self.networks.items()
            if isinstance(loss, adversarial.AdversarialLoss)
        }

    def load_learned_state(self, state: dict[str, Any]) -> None:
        """Take back a :meth:`learned_state` of the same expression."""
        for name, own in state.items():
            loss = self.networks[name]
            assert isinstance(loss, adversarial.AdversarialLoss)
            loss.load_learned_state(own)


def build_loss(text: str, resources: LossResources | None = None) -> WeightedLoss:
    """The loss that an expression names, on the CPU.

    Raises:
        SettingsError: the expression is wrong, or a loss lacks its file.
        InputError: a file that a loss needs is missing or damaged.
        MissingExtraError: a loss needs a package that is not installed.
    """
    terms = parse_loss(text)
    resources = resources or LossResources()
    return WeightedLoss(terms, {name: LOSSES[name].build(resources) for _, name in terms})
