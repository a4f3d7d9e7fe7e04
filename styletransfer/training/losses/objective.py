"""The weighted sum of the perceptual losses that style networks are trained with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from styletransfer.training.losses.perceptual import (
    CONTENT_LAYER,
    STYLE_LAYERS,
    content_loss,
    gram_matrix,
    smoothness_loss,
    style_loss,
    total_variation,
)
from styletransfer.training.vgg import VGGFeatures

STYLE_UNIT = 8.86e5
"""Σ over the style layers of the mean squared Gram entry of The Starry Night at 384 pixels.

On its scale, content 1 : style 5 is the authors' balance.
"""

ENERGY_POWER = 0.7
"""1 would give every painting the same share of style; dark ones then drown the photo. 0 would be the raw losses."""

LAYER_BALANCE = 0.1
"""Share of the style loss that weighs all layers alike; the rest goes by Gram entries, where relu4_3 hardly counts."""


@dataclass(frozen=True)
class LossTerms:
    """One batch's losses, each a float32 scalar on the scale of the objective, weights included.

    Attributes:
        content: weighted content loss.
        style: weighted style loss.
        tv: weighted total variation.
        smooth: weighted smoothness loss of the synthetic gradients.
        stability: weighted loss against flicker (:mod:`styletransfer.training.steadiness`), where it is asked for.
    """

    content: Tensor
    style: Tensor
    tv: Tensor
    smooth: Tensor
    stability: Tensor | None = None

    def total(self) -> Tensor:
        """The objective that training minimises."""
        known = self.content + self.style + self.tv + self.smooth
        return known if self.stability is None else known + self.stability

    def floats(self) -> dict[str, float]:
        """The terms and their total as Python numbers."""
        terms = {"content": self.content, "style": self.style, "tv": self.tv, "smooth": self.smooth}
        if self.stability is not None:
            terms["stability"] = self.stability
        terms["total"] = self.total()
        return dict(zip(terms, torch.stack(list(terms.values())).tolist(), strict=True))


class Objective:
    """The weighted sum of the losses for one painting.

    total = content_weight · content + tv_weight · TV + smooth_weight · smoothness
            + style_weight · (U / E)^0.7 · Σ_l b_l · D_l

    D_l is the mean squared difference of layer l's Gram matrices, A_l the mean square of the painting's own, and
    E = Σ A_l. b_l = (1 - β) + β · E / (4 A_l) with β = :data:`LAYER_BALANCE` lifts the deep layers, whose Gram
    entries are small but which hold the large forms of a painting. (U / E)^0.7 makes one style weight serve a dark
    panel and a bright one alike: E spans a factor of 40 over well-known paintings; U is The Starry Night's. With
    β = 0 and that painting the sum is Johnson et al.'s, content + style_weight · Σ D_l + TV.

    Args:
        vgg: the loss network; its dtype is the one that the features are computed in.
        painting_bchw: RGB ``[1, 3, H, W]``, 0..255, at the size that sets the strokes.
        content_weight, style_weight, tv_weight, smooth_weight: weights of the terms.
        balanced: whether painting and layers are evened out so; else each D_l counts ``style_weight`` times, as in
            Johnson et al.
    """

    def __init__(
        self,
        vgg: VGGFeatures,
        painting_bchw: Tensor,
        *,
        content_weight: float = 1.0,
        style_weight: float = 5.0,
        tv_weight: float = 1e-6,
        smooth_weight: float = 10.0,
        balanced: bool = True,
    ) -> None:
        self.vgg = vgg
        self.content_weight = content_weight
        self.tv_weight = tv_weight
        self.smooth_weight = smooth_weight
        with torch.no_grad():
            features = vgg(painting_bchw)
            self.painting_grams = {name: gram_matrix(features[name]) for name in STYLE_LAYERS}
        self.layer_weights = dict.fromkeys(STYLE_LAYERS, style_weight)
        if not balanced:
            return
        layer_energy = {name: float(gram.square().mean()) for name, gram in self.painting_grams.items()}
        energy = max(sum(layer_energy.values()), 1e-6)
        scale = style_weight * (STYLE_UNIT / energy) ** ENERGY_POWER
        self.layer_weights = {
            name: scale * (1 - LAYER_BALANCE + LAYER_BALANCE * energy / len(layer_energy) / max(own, 1e-12))
            for name, own in layer_energy.items()
        }

    def style(self, features: dict[str, Tensor], first: int = 0) -> Tensor:
        """The weighted style loss of the pictures from ``first`` on, divided by the whole batch's length."""
        pictures = features[STYLE_LAYERS[0]].shape[0]
        if first == pictures:
            return features[STYLE_LAYERS[0]].new_zeros((), dtype=torch.float32)
        grams = {name: gram_matrix(features[name])[first:] for name in STYLE_LAYERS}
        return self.style_of(grams) * ((pictures - first) / pictures)

    def style_of(self, grams: dict[str, Tensor]) -> Tensor:
        """The weighted style loss of pictures whose Gram matrices are known."""
        losses = [
            weight * style_loss(grams[name], self.painting_grams[name]) for name, weight in self.layer_weights.items()
        ]
        return torch.stack(losses).sum()

    def __call__(self, stylized_bchw: Tensor, photo_bchw: Tensor, gradients: int = 0) -> LossTerms:
        """The losses of stylized pictures against their photos.

        Args:
            stylized_bchw: the network's output, RGB ``[N, 3, H, W]`` 0..255.
            photo_bchw: its input, same shape.
            gradients: how many pictures at the front of the batch are synthetic colour gradients; they are held to
                smoothness instead of style.
        """
        return self.against(stylized_bchw, self.content_target(photo_bchw), gradients)

    @torch.no_grad()
    def content_target(self, photo_bchw: Tensor) -> Tensor:
        """The photos' features that the content loss compares with."""
        target: Tensor = self.vgg(photo_bchw, last=CONTENT_LAYER)[CONTENT_LAYER]
        return target

    def against(self, stylized_bchw: Tensor, target: Tensor, gradients: int = 0) -> LossTerms:
        """As a call, with the photos' :meth:`content_target` in place of the photos."""
        features = self.vgg(stylized_bchw)
        share = gradients / stylized_bchw.shape[0]
        return LossTerms(
            content=self.content_weight * content_loss(features[CONTENT_LAYER], target),
            style=self.style(features, gradients),
            tv=self.tv_weight * total_variation(stylized_bchw),
            smooth=self.smooth_weight * share * smoothness_loss(stylized_bchw[:gradients]),
        )
