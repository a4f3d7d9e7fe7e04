"""Losses: of style transfer (perceptual, objective) and of restoration (the other modules; names in expression)."""

from styletransfer.training.losses.objective import ENERGY_POWER, LAYER_BALANCE, STYLE_UNIT, LossTerms, Objective
from styletransfer.training.losses.perceptual import (
    CONTENT_LAYER,
    STYLE_LAYERS,
    content_loss,
    gram_matrix,
    smoothness_loss,
    style_loss,
    total_variation,
)

__all__ = [
    "CONTENT_LAYER",
    "ENERGY_POWER",
    "LAYER_BALANCE",
    "STYLE_LAYERS",
    "STYLE_UNIT",
    "LossTerms",
    "Objective",
    "content_loss",
    "gram_matrix",
    "smoothness_loss",
    "style_loss",
    "total_variation",
]
