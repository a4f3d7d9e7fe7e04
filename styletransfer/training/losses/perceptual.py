"""Perceptual losses of Johnson, Alahi, Fei-Fei 2016, after Gatys, Ecker, Bethge 2015 and 2016.

All of them average over the batch, so that a batch's loss is the mean of its pictures' losses.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from styletransfer.training.vgg import LAYERS

CONTENT_LAYER = "relu2_2"
STYLE_LAYERS = LAYERS


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
