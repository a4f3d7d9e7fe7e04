"""A ``live`` network without its norms: the ``plain`` network that training starts from."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from styletransfer.training.blocks import GainConv, InstanceNorm
from styletransfer.training.network import (
    OUTPUT_CENTRE,
    OUTPUT_SWING,
    PLAIN_BLOCKS,
    PLAIN_SWING,
    LiveNet,
    PlainNet,
    normalise_contrast,
)

_Affine = tuple[Tensor, Tensor]


@torch.no_grad()
def fold_norms(live: LiveNet, photos: Iterable[Tensor]) -> PlainNet:
    """Fold each instance norm into the convolution before it, with its mean statistics over photos.

    No photo has the mean statistics, a residual block is left out, and the output loses its tanh: the result needs
    training, but its strokes are there from the first step.

    Args:
        live: a trained network.
        photos: batches of RGB ``[N, 3, H, W]``, 0..255; some dozens of photos are enough.
    """
    live = copy.deepcopy(live)
    live.body = nn.Sequential(*(live.body[index] for index in PLAIN_BLOCKS))
    affine = _mean_affine(live, photos)
    plain = PlainNet(live.down.conv.out_channels)
    _set(plain.stem, live.stem.weight, (torch.ones_like(plain.stem.gain), live.stem.bias))
    _set(plain.down, live.down.conv.weight, affine["down.norm"])
    for index in range(len(plain.body)):
        for half in ("first", "second"):
            name = f"body.{index}.{half}"
            target = cast(GainConv, plain.get_submodule(name))
            _set(target, cast(nn.Conv2d, live.get_submodule(name)).weight, affine[f"{name}_norm"])
    # The plain network has fewer channels at half the resolution: those that the last layer listens to most.
    loudness = live.last.weight.square().sum((0, 2, 3)) * affine["up.norm"][0].square()
    kept = loudness.topk(plain.up.out_channels).indices.sort().values
    scale, shift = affine["up.norm"]
    _set(plain.up, live.up.conv.weight[kept], (scale[kept], shift[kept]))
    assert live.last.bias is not None
    swing, centre = OUTPUT_SWING / PLAIN_SWING, (OUTPUT_CENTRE - PLAIN_SWING) / PLAIN_SWING
    tail = torch.full_like(plain.last.gain, swing), live.last.bias * swing + centre
    _set(plain.last, live.last.weight[:, kept], tail)
    return plain


def _mean_affine(live: LiveNet, photos: Iterable[Tensor]) -> dict[str, _Affine]:
    """Each norm as a scale and a shift: the means of those that it applied to the photos."""
    seen: dict[str, list[_Affine]] = {}

    def watch(name: str, norm: InstanceNorm) -> torch.utils.hooks.RemovableHandle:
        def note(_: object, inputs: tuple[Tensor, ...]) -> None:
            variance, mean = torch.var_mean(inputs[0].float(), dim=(2, 3), correction=0)
            scale = norm.weight * _merge((variance + norm.eps).rsqrt(), norm.share)
            seen.setdefault(name, []).append((scale, norm.bias - scale * _merge(mean, norm.share)))

        return norm.register_forward_pre_hook(note)

    norms = [(name, module) for name, module in live.named_modules() if isinstance(module, InstanceNorm)]
    handles = [watch(name, norm) for name, norm in norms]
    try:
        for photo in photos:
            live((normalise_contrast(photo) + 1) * 127.5)
    finally:
        for handle in handles:
            handle.remove()
    return {
        name: (torch.cat([a for a, _ in all_]).mean(0), torch.cat([b for _, b in all_]).mean(0))
        for name, all_ in seen.items()
    }


def _merge(statistics: Tensor, share: int) -> Tensor:
    """Mean over the phases that share one scale: ``[N, share · C]`` to ``[N, C]``."""
    return statistics.view(len(statistics), -1, share).mean(2)


def _set(target: GainConv, kernels: Tensor, affine: tuple[Tensor, Tensor | None]) -> None:
    scale, shift = affine
    assert target.bias is not None and shift is not None
    target.set_kernels(kernels * scale.view(-1, 1, 1, 1))
    target.bias.copy_(shift)
