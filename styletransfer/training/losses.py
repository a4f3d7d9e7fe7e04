"""Perceptual losses of Johnson, Alahi, Fei-Fei 2016, after Gatys, Ecker, Bethge 2015 and 2016.

The functions come first; :class:`Objective` weighs them for one painting. All of them average over the batch, so
that a batch's loss is the mean of its pictures' losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from styletransfer.training.vgg import LAYERS, VGGFeatures

CONTENT_LAYER = "relu2_2"
STYLE_LAYERS = LAYERS

STYLE_UNIT = 8.86e5
"""Σ over the style layers of the mean squared Gram entry of The Starry Night at 384 pixels.

On its scale, content 1 : style 5 is the authors' balance.
"""

ENERGY_POWER = 0.7
"""1 would give every painting the same share of style; dark ones then drown the photo. 0 would be the raw losses."""

LAYER_BALANCE = 0.1
"""Share of the style loss that weighs all layers alike; the rest goes by Gram entries, where relu4_3 hardly counts."""


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Feature reconstruction loss: mean((φ(ŷ) - φ(y))²), Johnson et al. 2016, eq. 2.

    Args:
        features: φ of the stylized pictures, ``[N, C, H, W]``.
        target: φ of the photos, same shape.

    Returns:
        A float32 scalar.

    Raises:
        ValueError: the shapes differ.
    """
    if features.shape != target.shape:
        raise ValueError(f"features {tuple(features.shape)} and target {tuple(target.shape)} differ in shape")
    loss: Tensor = _MeanSquare.apply(features - target)
    return loss


class _MeanSquare(torch.autograd.Function):
    """mean(d²) in float32, whose backward pass is one product in the dtype of d."""

    @staticmethod
    def forward(ctx: Any, difference: Tensor) -> Tensor:
        ctx.save_for_backward(difference)
        norm: Tensor = torch.linalg.vector_norm(difference, dtype=torch.float32)
        return norm.square() / difference.numel()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        difference: Tensor = ctx.saved_tensors[0]
        scale: Tensor = grads[0] * (2 / difference.numel())
        return difference * scale.to(difference.dtype)


class _Gram(torch.autograd.Function):
    """Fᵀ·F straight from channels_last memory, in the features' own dtype, summed up in float32."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        n, c, h, w = features.shape
        rows = features.permute(0, 2, 3, 1).reshape(n, h * w, c)
        ctx.save_for_backward(rows)
        ctx.shape = features.shape
        # A bf16 product is rounded to 8 bits: summing up chunks in float32 averages that rounding away.
        chunks = 1 if rows.dtype == torch.float32 else _chunks(h * w)
        parts = rows.reshape(n * chunks, h * w // chunks, c)
        products = torch.bmm(parts.transpose(1, 2), parts)
        return products.float().reshape(n, chunks, c, c).sum(1) / (c * h * w)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (rows,) = ctx.saved_tensors
        n, c, h, w = ctx.shape
        grad = (grads[0] + grads[0].transpose(1, 2)) / (c * h * w)
        return torch.bmm(rows, grad.to(rows.dtype)).reshape(n, h, w, c).permute(0, 3, 1, 2)


def _chunks(pixels: int) -> int:
    """The largest power of two up to 16 that divides ``pixels`` and leaves at least 256 of them a chunk."""
    chunks = 1
    while chunks < 16 and pixels % (2 * chunks) == 0 and pixels // (2 * chunks) >= 256:
        chunks *= 2
    return chunks


def gram_matrix(features: Tensor) -> Tensor:
    """Gram matrix G = F·Fᵀ / (C·H·W), Johnson et al. 2016, eq. 3.

    Departure: in bfloat16 the products are rounded to bfloat16 in up to 16 chunks that are summed in float32.

    Args:
        features: ``[N, C, H, W]``.

    Returns:
        float32 ``[N, C, C]``.

    Raises:
        ValueError: the input has not four dimensions.
    """
    if features.ndim != 4:
        raise ValueError(f"features have {features.ndim} dimensions; [N, C, H, W] expected")
    gram: Tensor = _Gram.apply(features)
    return gram


def style_loss(gram: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of two Gram matrices.

    Departure from Johnson et al. 2016, eq. 4: the mean over the C² entries instead of the squared Frobenius norm
    (as in the authors' code).

    Args:
        gram: of the stylized pictures, ``[N, C, C]``.
        target: of the painting, ``[C, C]`` or ``[1, C, C]``.

    Returns:
        A float32 scalar.

    Raises:
        ValueError: the number of channels differs.
    """
    if gram.shape[-2:] != target.shape[-2:]:
        raise ValueError(f"Gram matrices {tuple(gram.shape)} and {tuple(target.shape)} differ in channels")
    return (gram - target).square().mean()


def total_variation(picture: Tensor) -> Tensor:
    """Total variation: Σ (x[i+1] - x[i])² along both axes, summed over a picture, averaged over the batch.

    Mahendran & Vedaldi 2015 with β = 2, as Johnson et al. 2016, section 3.3.

    Args:
        picture: ``[N, C, H, W]``, 0..255.

    Returns:
        A float32 scalar.

    Raises:
        ValueError: the input has not four dimensions.
    """
    if picture.ndim != 4:
        raise ValueError(f"picture has {picture.ndim} dimensions; [N, C, H, W] expected")
    picture = picture.float()
    vertical = (picture[:, :, 1:] - picture[:, :, :-1]).square().sum()
    horizontal = (picture[:, :, :, 1:] - picture[:, :, :, :-1]).square().sum()
    return (vertical + horizontal) / picture.shape[0]


def smoothness_loss(picture: Tensor) -> Tensor:
    """Mean squared difference of neighbouring pixels along both axes.

    It is applied to what the network makes of synthetic colour gradients: without it, instance norm blows the faint
    8-bit steps of a smooth sky up into stripes.

    Args:
        picture: ``[N, C, H, W]``, 0..255.

    Returns:
        A float32 scalar, squared grey levels; 0 for an empty batch.
    """
    if picture.shape[0] == 0:
        return picture.new_zeros((), dtype=torch.float32)
    picture = picture.float()
    vertical = (picture[:, :, 1:] - picture[:, :, :-1]).square().mean()
    horizontal = (picture[:, :, :, 1:] - picture[:, :, :, :-1]).square().mean()
    return vertical + horizontal


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
    ) -> None:
        self.vgg = vgg
        self.content_weight = content_weight
        self.tv_weight = tv_weight
        self.smooth_weight = smooth_weight
        with torch.no_grad():
            features = vgg(painting_bchw)
            self.painting_grams = {name: gram_matrix(features[name]) for name in STYLE_LAYERS}
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
