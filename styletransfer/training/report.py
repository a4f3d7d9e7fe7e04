"""What a finished training leaves for the eye: a contact sheet and the loss curves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from styletransfer.core.files import atomic_path
from styletransfer.core.pictures import Picture, load_picture, resize_frame, save_picture
from styletransfer.training.data import PhotoSampler

_SIDE = 256
_COLUMNS = 4
_ROWS = 3


def save_contact_sheet(network: nn.Module, sampler: PhotoSampler, painting: Path, path: Path) -> None:
    """The painting, then twelve photos, each with its stylized twin below it.

    Args:
        network: on the CPU.
        sampler: whose photos are shown.
        painting: the painting's file.
        path: PNG to write.
    """
    fixed = PhotoSampler(sampler.paths, 1, _SIDE, sampler.seed + 2)
    photos = np.stack([fixed.photo_crop(index) for index in range(_COLUMNS * _ROWS)])
    with torch.no_grad():
        batches = torch.split(torch.from_numpy(photos).permute(0, 3, 1, 2).float(), _COLUMNS)
        stylized = torch.cat([network(batch) for batch in batches]).clamp(0, 255).round().to(torch.uint8)
    results = stylized.permute(0, 2, 3, 1).numpy()
    frame = load_picture(painting).frame_hwc
    height = 2 * _SIDE * _ROWS
    width = max(1, round(frame.shape[1] * height / frame.shape[0] / 2))
    shown = resize_frame(frame, (width, height // 2))
    left = np.full((height, width, 3), 255, np.uint8)
    left[: shown.shape[0]] = shown
    rows = []
    for first in range(0, len(photos), _COLUMNS):
        rows.append(np.concatenate(list(photos[first : first + _COLUMNS]), axis=1))
        rows.append(np.concatenate(list(results[first : first + _COLUMNS]), axis=1))
    save_picture(Picture(np.ascontiguousarray(np.concatenate([left, np.concatenate(rows)], axis=1))), path)


_CURVES = ("total", "content", "style", "stability")


def save_loss_curve(log: Path, path: Path, names: Sequence[str] = _CURVES) -> None:
    """Plot a training's JSON-lines log, each loss as a running mean, as a PNG.

    Args:
        log: the file.
        path: PNG to write.
        names: the losses that are drawn, where the log has them.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    steps = np.array([entry["step"] for entry in entries])
    window = max(1, len(entries) // 50)
    kernel = np.ones(window) / window
    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    shown = [name for name in names if entries and name in entries[0]]
    for name in shown:  # none where the log was lost
        values = np.array([entry[name] for entry in entries])
        axes.plot(steps[window - 1 :], np.convolve(values, kernel, mode="valid"), label=name)
    axes.set(xlabel="step", ylabel="loss", yscale="log", title="training losses")
    axes.grid(alpha=0.3)
    if entries:
        axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    pyplot.close(figure)
