"""Checkpoint to style file: written, compared with the network, and only then given its name."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from styletransfer.core.card import ModelCard
from styletransfer.core.errors import ModelError
from styletransfer.training.checkpoint import Progress
from styletransfer.training.graph import build_graph, read_weights
from styletransfer.training.network import NETWORKS, SIZE_MULTIPLE, StyleNet
from styletransfer.training.style_file import likeness_db, read_sealed_card, read_style_file, write_checked

_CHECKED_SHAPES = ((1, 64, 96), (2, 52, 76), (3, 100, 36), (1, 16, 148))
"""Batch, height and width of the pictures that every export is compared on."""


def export_style(network: StyleNet, card: ModelCard, target: Path, half: bool = False) -> float:
    """Write ``network`` as a style file with ``card`` inside.

    Args:
        network: in any device or mode; it is not changed.
        card: what the file says of itself; its precision is set here.
        target: the ``.onnx`` file.
        half: float16 weights.

    Returns:
        Least PSNR in decibels, over pictures of several sizes and batches, of the file's uint8 output on
        onnxruntime's CPU provider against the network's own.

    Raises:
        ExportError: that PSNR is below 50 dB (float16: 40 dB); nothing is written.
        OutputError: the file cannot be written.
    """
    return write_checked(build_graph(network, half), card, target, half, partial(_least_psnr_db, network))


def load_style(path: Path) -> tuple[StyleNet, ModelCard]:
    """A network with the weights of a style file that :func:`export_style` wrote, and the file's card.

    Raises:
        ModelError: no such file, or not one of ours.
    """
    model, data = read_style_file(path, "training cannot start from it")
    try:
        card = read_sealed_card(model, data)
        if card.precision == "int8":
            raise ModelError("it is an int8 file; start from the float32 one that it was made of")
        if card.architecture not in NETWORKS:
            raise ModelError(f"its network {card.architecture!r} is unknown to this version")
        network = NETWORKS[card.architecture](card.channels)
        read_weights(model, network)
    except (ModelError, RuntimeError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: its weights cannot be read: {error}") from error
    return network, card


def make_card(name: str, progress: Progress) -> ModelCard:
    """The card of a training's result."""
    settings = progress.settings
    training = {
        key: value for key, value in vars(settings).items() if key not in ("architecture", "channels", "learning_rate")
    }
    training |= {"learning_rate": settings.peak_rate, **progress.told()}
    return ModelCard(
        name=name,
        painting=progress.painting,
        architecture=settings.architecture,
        channels=settings.width,
        size_multiple=SIZE_MULTIPLE,
        training=training,
        losses={key: round(value, 1) for key, value in progress.losses.items()},
    )


def _least_psnr_db(network: StyleNet, data: bytes) -> float:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    reference = type(network)(network.body[0].first.out_channels).eval()  # type: ignore[union-attr, arg-type]
    reference.load_state_dict(network.state_dict())
    rng = np.random.default_rng(0)
    worst = float("inf")
    for batch, height, width in _CHECKED_SHAPES:
        # Smooth noise: photos are smooth, and white noise would hide errors in the convolutions' borders.
        coarse = rng.integers(0, 256, (batch, 3, height // 4, width // 4)).astype(np.float32)
        photo = torch.nn.functional.interpolate(torch.from_numpy(coarse), scale_factor=4.0, mode="bilinear")
        frames = photo.round().permute(0, 2, 3, 1).to(torch.uint8).numpy()
        with torch.no_grad():
            expected = reference(torch.from_numpy(frames).permute(0, 3, 1, 2).float())
        wanted = expected.clamp(0, 255).round().permute(0, 2, 3, 1).numpy()
        worst = min(worst, likeness_db(session.run(None, {"frame": frames})[0], wanted))
    return worst
