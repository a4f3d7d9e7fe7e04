"""A trained network to its file and back: written, compared with the network, and only then given its name."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from styletransfer.core.card import ModelCard, Painting
from styletransfer.core.errors import ModelError
from styletransfer.core.settings_restore import NETWORK_SIZES
from styletransfer.training.checkpoint import find_checkpoint
from styletransfer.training.restoration.graph import OUTPUT, build_graph, read_weights
from styletransfer.training.restoration.networks import RestoreNet, build_restorer
from styletransfer.training.restoration.state import RestoreProgress, load_progress
from styletransfer.training.style_file import likeness_db, read_sealed_card, read_style_file, write_checked

_CHECKED_SHAPES = ((1, 33, 47), (2, 26, 15), (1, 8, 61))
"""Batch, height and width of the pictures that every export is compared on, made multiples of what it takes."""


def export_restorer(network: RestoreNet, card: ModelCard, target: Path, half: bool = False) -> float:
    """Write ``network`` as a file with ``card`` inside.

    Args:
        network: on the CPU and in evaluation; it is not changed.
        card: what the file says of itself; its precision is set here.
        target: the ``.onnx`` file.
        half: float16 weights.

    Returns:
        Least PSNR in decibels, over pictures of several sizes and batches, of the file's bytes on onnxruntime's CPU
        provider against the network's own.

    Raises:
        ExportError: that PSNR is below 50 dB (float16: 40 dB); nothing is written.
        OutputError: the file cannot be written.
    """
    return write_checked(build_graph(network, half), card, target, half, partial(_least_psnr_db, network))


def make_card(name: str, progress: RestoreProgress, size_multiple: int) -> ModelCard:
    """The card of a training's result."""
    settings = progress.settings
    told = dataclasses.asdict(settings)
    training = {key: told[key] for key in ("loss", "grey", "batch", "steps", "minutes", "average", "seed", "stem")}
    if settings.task in ("denoise", "deblock"):
        name_of_strength = "sigma" if settings.task == "denoise" else "quality"
        training[name_of_strength] = told[name_of_strength]
    training |= {
        "layers": settings.depth,
        "image_size": settings.side,
        "learning_rate": settings.peak_rate,
        **progress.told(),
    }
    return ModelCard(
        name=name,
        painting=Painting(""),
        architecture=settings.network,
        channels=settings.width,
        size_multiple=size_multiple,
        task=settings.task,
        scale=settings.scale,
        training=training,
        losses={key: float(f"{value:.4g}") for key, value in progress.losses.items()},
    )


def load_restorer(path: Path) -> RestoreNet:
    """The network of a file that :func:`export_restorer` wrote, or of a training's folder, in evaluation.

    Batch norms of a file are folded away: they do nothing but add a bias, so such a network cannot be trained on.

    Raises:
        ModelError: no such file, or not one of ours that restores.
        CheckpointError: the folder has no whole checkpoint of ``train-restore``.
    """
    if path.is_dir():
        return load_progress(find_checkpoint(path))[0].eval()
    model, data = read_style_file(path, "its network is unknown")
    try:
        card = read_sealed_card(model, data)
        if card.task == "style":
            raise ModelError("it is a style; a file of `styletransfer train-restore` is needed")
        if card.architecture not in NETWORK_SIZES:
            raise ModelError(f"its network {card.architecture!r} is unknown to this version")
        size = (int(card.training.get(key, default)) for key, default in (("layers", 0), ("stem", 1)))
        network = build_restorer(card.architecture, card.scale, card.channels, *size)
        read_weights(model, network)
    except (ModelError, RuntimeError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: its weights cannot be read: {error}") from error
    return network.eval()


def _least_psnr_db(network: RestoreNet, data: bytes) -> float:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    worst = float("inf")
    for batch, *sides in _CHECKED_SHAPES:
        height, width = (network.size_multiple * -(-side // network.size_multiple) for side in sides)
        frames = rng.integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
        with torch.no_grad():
            expected = network(torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255)
        wanted = (expected.clamp(0, 1) * 255).round().permute(0, 2, 3, 1).numpy()
        worst = min(worst, likeness_db(session.run([OUTPUT], {"frame": frames})[0], wanted))
    return worst
