"""Checkpoint to style file: written, compared with the network, and only then given its name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from styletransfer.core.card import BLANK_SEAL, CARD_KEY, ModelCard, seal_file
from styletransfer.core.errors import ExportError, ModelError
from styletransfer.core.files import write_bytes
from styletransfer.core.likeness import psnr_db
from styletransfer.training.checkpoint import Progress
from styletransfer.training.graph import build_graph, read_weights
from styletransfer.training.network import NETWORKS, SIZE_MULTIPLE, StyleNet
from styletransfer.training.style_file import read_sealed_card, read_style_file

MIN_PSNR_DB = 50.0
"""Least PSNR of a float32 file's uint8 output against the network's."""

MIN_PSNR_HALF_DB = 40.0
"""The same for a float16 file."""

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
    model = build_graph(network, half)
    precision = "float16" if half else "float32"
    card = dataclasses.replace(card, precision=precision, seal=BLANK_SEAL)
    entry = model.metadata_props.add()
    entry.key, entry.value = CARD_KEY, card.to_json()
    data = seal_file(model.SerializeToString())
    worst_db = _least_psnr_db(network, data)
    least = MIN_PSNR_HALF_DB if half else MIN_PSNR_DB
    if not worst_db >= least:
        raise ExportError(
            f"{target}: the exported file differs from the network ({worst_db:.1f} dB; at least {least:.0f} dB "
            "expected); nothing was written. Please report this with the versions that `styletransfer doctor` prints"
        )
    write_bytes(target, data)
    return worst_db


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
    training |= {
        "learning_rate": settings.peak_rate,
        "seconds": round(progress.seconds, 1),
        "device": progress.device,
        "init": progress.init,
        "photos": progress.photos,
        "steps_done": progress.step,
    }
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
        worst = min(worst, _likeness_db(session.run(None, {"frame": frames})[0], wanted))
    return worst


def _likeness_db(result: NDArray[np.uint8], wanted: NDArray[np.float32]) -> float:
    if result.shape != wanted.shape or not np.isfinite(wanted).all():
        return 0.0
    return psnr_db(result, wanted)
