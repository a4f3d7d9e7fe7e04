"""The loss network's first stage without its feature maps, the largest of all: a gigabyte each at 2048².

Strip by strip: of each only the share in the Gram matrix and the pooled features stay, the rest is computed again for
the gradient (checkpointing). It is exact, for a convolution of the first stage sees one row of neighbours, and the
next one another: a strip begins and ends two rows outside itself.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from styletransfer.training.losses import (
    CONTENT_LAYER,
    LossTerms,
    Objective,
    content_loss,
    gram_matrix,
    total_variation,
)
from styletransfer.training.vgg import LAYERS

_ROWS = 128  # of a strip; even, so that none cuts a pooling window in two
_HALO = 2


def first_stage(stage: nn.Sequential, x: Tensor, pool: nn.Module, gram_after: int) -> tuple[Tensor, Tensor]:
    """One Gram matrix of VGG-16's first stage, and what it hands to the second.

    Args:
        stage: two 3×3 convolutions, each with its ReLU.
        x: the picture less its mean, ``[N, 3, H, W]``.
        pool: pooling by two in each direction.
        gram_after: modules after which the Gram matrix is taken: 2 for relu1_1, 4 for relu1_2.

    Returns:
        The Gram matrix as :func:`gram_matrix` defines it, and the pooled relu1_2, ``[N, C, H / 2, W / 2]``.
    """
    height = x.shape[2]

    def strip(x: Tensor, top: int, bottom: int) -> tuple[Tensor, Tensor]:
        above, below = max(0, top - _HALO), min(height, bottom + _HALO)
        inside = slice(top - above, bottom - above)
        features = stage[:gram_after](x[:, :, above:below])
        # What each strip's matrix was divided by is its own number of rows.
        gram = gram_matrix(features[:, :, inside]) * ((bottom - top) / height)
        return gram, pool(stage[gram_after:](features)[:, :, inside])

    tops = list(range(0, max(1, height - 1), _ROWS))  # a single last row, which cannot be pooled, joins those above it
    parts = [
        checkpoint(strip, x, top, bottom, use_reentrant=False, preserve_rng_state=False)
        for top, bottom in zip(tops, [*tops[1:], height], strict=True)
    ]
    return torch.stack([gram for gram, _ in parts]).sum(0), torch.cat([rows for _, rows in parts], 2)


def terms_in_strips(objective: Objective, picture_bchw: Tensor, target: Tensor) -> LossTerms:
    """As :meth:`Objective.against`, computing feature maps twice instead of keeping them."""
    vgg = objective.vgg
    gram, pooled = first_stage(vgg.first_stage, picture_bchw - vgg.mean, nn.MaxPool2d(2), gram_after=4)
    features = vgg.later_stages(pooled)
    grams = {LAYERS[0]: gram, **{name: gram_matrix(each) for name, each in features.items()}}
    return LossTerms(
        content=objective.content_weight * content_loss(features[CONTENT_LAYER], target),
        style=objective.style_of(grams),
        tv=objective.tv_weight * total_variation(picture_bchw),
        smooth=picture_bchw.new_zeros(()),
    )
