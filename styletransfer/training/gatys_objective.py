"""The objective of Gatys, Ecker, Bethge 2016 ("Image Style Transfer Using Convolutional Neural Networks")."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from styletransfer.core.baseline import Weights
from styletransfer.training.losses import LossTerms, content_loss, gram_matrix, style_loss, total_variation
from styletransfer.training.strips import first_stage
from styletransfer.training.vgg import VGGFeatures

CONTENT_LAYER = "relu4_2"

_DONE_BY_STRIPS = 3  # modules: conv1_2, its ReLU, the pooling

_RAREST = 0.1
"""A filter's mean activation counts as at least this share of its layer's: one that hardly ever fires would rule."""


class GatysObjective:
    """Content of one photo at relu4_2, style of one painting at relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1.

    total = content_weight · mean((F - P)²) + style_weight · Σ_l mean((G_l - A_l)²) + tv_weight · TV

    G = F·Fᵀ / (C·H·W), and F are features whose filters have a mean activation of one. The layers weigh alike, which
    is the paper's w_l = 1/5 and the 10³ / C² of the authors' released code on Grams divided by H·W. Average pooling, as
    section 2 suggests.

    Departures from the paper: VGG-16 in place of VGG-19. Filters are normalised to their mean activation over the
    photo and the painting (that of all positions of ImageNet's pictures in the paper), a Gram is divided by its number
    of positions, so that the painting may have another size, and relu5_1 is left out where the weights end before it.
    The balance of content and style was found anew, by eye: the released code's leaves a photo almost as it is here.

    Args:
        vgg: the loss network, on the device and in the memory format to work in.
        photo_bchw: RGB float32 ``[1, 3, H, W]``, 0..255.
        painting_bchw: the same, of any size.
        weights: of the three terms.
    """

    def __init__(self, vgg: VGGFeatures, photo_bchw: Tensor, painting_bchw: Tensor, weights: Weights) -> None:
        self._mean = vgg.mean
        self._first = vgg.first_stage
        self._segments = _segments(vgg)
        self._saves_memory = vgg.saves_memory
        self._weights = weights
        with torch.no_grad():
            of_photo, of_painting = {}, {}
            for name, features in self._features(painting_bchw):
                of_painting[name] = (features.mean((0, 2, 3)), gram_matrix(features))
            for name, features in self._features(photo_bchw):
                of_photo[name] = features.mean((0, 2, 3))
                if name == CONTENT_LAYER:
                    content = features
            self._scales = {name: _scale(of_photo[name], of_painting[name][0]) for name in of_photo}
            self._painting_grams = {
                name: self._scaled(name, gram) for name, (_, gram) in of_painting.items() if name != CONTENT_LAYER
            }
            self._content = content * self._scales[CONTENT_LAYER].view(1, -1, 1, 1)

    @property
    def style_layers(self) -> tuple[str, ...]:
        """The layers whose Gram matrices are compared."""
        return tuple(self._painting_grams)

    def __call__(self, picture_bchw: Tensor) -> LossTerms:
        """The losses of a picture of the photo's size, RGB ``[1, 3, H, W]``, 0..255."""
        grams, features = self._grams(picture_bchw)
        styles = [style_loss(self._scaled(name, gram), self._painting_grams[name]) for name, gram in grams.items()]
        content = content_loss(features * self._scales[CONTENT_LAYER].view(1, -1, 1, 1), self._content)
        return LossTerms(
            content=self._weights.content * content,
            style=self._weights.style * torch.stack(styles).sum(),
            tv=self._weights.tv * total_variation(picture_bchw),
            smooth=picture_bchw.new_zeros(()),
        )

    def _features(self, picture_bchw: Tensor) -> Iterator[tuple[str, Tensor]]:
        x = picture_bchw - self._mean
        for name, segment in self._segments:
            x = segment(x)
            yield name, x

    def _grams(self, picture_bchw: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Gram matrices of the style layers, and relu4_2."""
        grams: dict[str, Tensor] = {}
        content = picture_bchw
        if not self._saves_memory:
            for name, features in self._features(picture_bchw):
                if name == CONTENT_LAYER:
                    content = features
                else:
                    grams[name] = gram_matrix(features)
            return grams, content
        pool = nn.AvgPool2d(2)
        grams["relu1_1"], x = first_stage(self._first, picture_bchw - self._mean, pool, gram_after=2)
        for index, (name, segment) in enumerate(self._segments[1:]):
            # The second segment begins with relu1_2 and its pooling, which the strips have done.
            x = checkpoint(segment[_DONE_BY_STRIPS:] if index == 0 else segment, x, use_reentrant=False)
            if name == CONTENT_LAYER:
                content = x
            else:
                grams[name] = gram_matrix(x)
        return grams, content

    def _scaled(self, name: str, gram: Tensor) -> Tensor:
        """The Gram matrix of normalised features: cheaper than normalising a map of a gigabyte."""
        scale = self._scales[name]
        return gram * (scale[:, None] * scale[None])


def _segments(vgg: VGGFeatures) -> list[tuple[str, nn.Sequential]]:
    """The network cut behind every layer that counts, with average pooling between its stages."""
    segments: list[tuple[str, nn.Sequential]] = []
    waiting: list[nn.Module] = []
    for number, stage in enumerate(vgg.stages, 1):
        assert isinstance(stage, nn.Sequential)
        modules = list(stage)
        segments.append((f"relu{number}_1", nn.Sequential(*waiting, *modules[:2])))
        if number == 4:
            segments.append((CONTENT_LAYER, nn.Sequential(*modules[2:4])))
            modules = modules[2:]
        waiting = [*modules[2:], nn.AvgPool2d(2)]
    if vgg.conv5_1 is not None:
        segments.append(("relu5_1", nn.Sequential(*waiting, vgg.conv5_1, nn.ReLU(inplace=True))))
    return segments


def _scale(photo: Tensor, painting: Tensor) -> Tensor:
    """One over each filter's mean activation, from those of the photo and of the painting."""
    mean = (photo + painting) / 2
    return 1 / mean.clamp(min=max(_RAREST * float(mean.mean()), 1e-6))
