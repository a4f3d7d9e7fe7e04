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

It carries the painting-independent style loss back to the scale on which content 1 : style 5 is the paper's balance.
"""


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
    return (features - target).float().square().mean()


class _Gram(torch.autograd.Function):
    """Fᵀ·F straight from channels_last memory, in the features' own dtype, summed up in float32."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:  # noqa: D102
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
    def backward(ctx: Any, *grads: Tensor) -> Tensor:  # noqa: D102
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
    gram: Tensor = _Gram.apply(features)  # type: ignore[no-untyped-call]
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


def grid_loss(picture: Tensor, period: int = 8) -> Tensor:
    """How much of a picture repeats on a fixed grid: variance of its means over the ``period``² phases.

    Pixels are grouped by (y mod period, x mod period). In a picture without a grid the groups' means are equal but
    for chance; a pattern that the network's own upsampling leaves shows in all pictures at the same phases, which is
    why the means are taken over the batch. Periods that divide ``period`` are covered too.

    Args:
        picture: ``[N, C, H, W]``, 0..255; H and W multiples of ``period``.
        period: pixels.

    Returns:
        A float32 scalar, squared grey levels.

    Raises:
        ValueError: a side is no multiple of ``period``.
    """
    n, c, h, w = picture.shape
    if h % period or w % period:
        raise ValueError(f"{h}x{w} is no multiple of the period {period}")
    phases = picture.float().reshape(n, c, h // period, period, w // period, period).mean((0, 2, 4))
    return (phases - phases.mean((1, 2), keepdim=True)).square().mean()


@dataclass(frozen=True)
class LossTerms:
    """One batch's losses, each a float32 scalar on the scale of the objective, weights included.

    Attributes:
        content: weighted content loss.
        style: weighted style loss.
        tv: weighted total variation.
        grid: weighted grid loss.
    """

    content: Tensor
    style: Tensor
    tv: Tensor
    grid: Tensor

    def total(self) -> Tensor:
        """The objective that training minimises."""
        return self.content + self.style + self.tv + self.grid


class Objective:
    """The weighted sum of the losses for one painting.

    total = content_weight · content + style_weight · STYLE_UNIT · Σ_l ‖G_l - A_l‖² / Σ_l ‖A_l‖²
            + tv_weight · TV + grid_weight · grid

    The style loss is divided by the painting's own Gram energy, so that one weight serves a pale watercolour and a
    thick oil painting alike; on The Starry Night the sum equals content_weight · content + style_weight · Σ_l of the
    mean squared Gram differences.

    Args:
        vgg: the loss network; its dtype is the one that the features are computed in.
        painting_bchw: RGB ``[1, 3, H, W]``, 0..255, at the size that sets the strokes.
        content_weight, style_weight, tv_weight, grid_weight: weights of the terms.
    """

    def __init__(
        self,
        vgg: VGGFeatures,
        painting_bchw: Tensor,
        content_weight: float = 1.0,
        style_weight: float = 5.0,
        tv_weight: float = 1e-6,
        grid_weight: float = 0.0,
    ) -> None:
        self.vgg = vgg
        self.content_weight = content_weight
        self.style_weight = style_weight
        self.tv_weight = tv_weight
        self.grid_weight = grid_weight
        with torch.no_grad():
            features = vgg(painting_bchw)
            self.painting_grams = {name: gram_matrix(features[name]) for name in STYLE_LAYERS}
            self.painting_energy = sum(float(g.square().mean()) for g in self.painting_grams.values())

    def style(self, features: dict[str, Tensor]) -> Tensor:
        """Σ_l of the mean squared Gram differences, neither weighted nor divided by the painting's energy."""
        losses = [style_loss(gram_matrix(features[name]), self.painting_grams[name]) for name in STYLE_LAYERS]
        return torch.stack(losses).sum()

    def __call__(self, stylized_bchw: Tensor, photo_bchw: Tensor) -> LossTerms:
        """The losses of stylized pictures against their photos, both RGB ``[N, 3, H, W]`` 0..255."""
        with torch.no_grad():
            target = self.vgg(photo_bchw, last=CONTENT_LAYER)[CONTENT_LAYER]
        features = self.vgg(stylized_bchw)
        style_scale = self.style_weight * STYLE_UNIT / self.painting_energy
        zero = stylized_bchw.new_zeros(())
        return LossTerms(
            content=self.content_weight * content_loss(features[CONTENT_LAYER], target),
            style=style_scale * self.style(features),
            tv=self.tv_weight * total_variation(stylized_bchw) if self.tv_weight else zero,
            grid=self.grid_weight * grid_loss(stylized_bchw) if self.grid_weight else zero,
        )
