"""What a finished training leaves for the eye: a contact sheet and the loss curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from styletransfer.core.files import atomic_path
from styletransfer.core.pictures import Picture, load_picture, resize_frame, save_picture
from styletransfer.training.data import PhotoSampler
from styletransfer.training.follow import StepLog

_SIDE = 256
_PHOTOS = 12
_COLUMNS_BELOW, _COLUMNS_BESIDE = 6, 4  # a wide painting is above the photos, a tall one on their left
_BATCH = 4


def save_contact_sheet(network: nn.Module, sampler: PhotoSampler, painting: Path, path: Path) -> None:
    """The painting, above or beside twelve photos, each with its stylized twin below it.

    Args:
        network: on the CPU.
        sampler: whose photos are shown.
        painting: the painting's file.
        path: PNG to write.
    """
    fixed = PhotoSampler(sampler.paths, 1, _SIDE, sampler.seed + 2)
    photos = np.stack([fixed.photo_crop(index) for index in range(_PHOTOS)])
    with torch.no_grad():
        batches = torch.split(torch.from_numpy(photos).permute(0, 3, 1, 2).float(), _BATCH)
        stylized = torch.cat([network(batch) for batch in batches]).clamp(0, 255).round().to(torch.uint8)
    results = stylized.permute(0, 2, 3, 1).numpy()
    frame = load_picture(painting).frame_hwc
    is_wide = frame.shape[1] >= frame.shape[0]
    columns = _COLUMNS_BELOW if is_wide else _COLUMNS_BESIDE
    rows = []
    for first in range(0, _PHOTOS, columns):
        rows += [np.concatenate(list(part[first : first + columns]), axis=1) for part in (photos, results)]
    pairs = np.concatenate(rows)
    scale = pairs.shape[1] / frame.shape[1] if is_wide else pairs.shape[0] / frame.shape[0]
    width, height = (max(1, round(side * scale)) for side in (frame.shape[1], frame.shape[0]))
    sheet = np.concatenate([resize_frame(frame, (width, height)), pairs], axis=0 if is_wide else 1)
    save_picture(Picture(np.ascontiguousarray(sheet)), path)


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

    entries = StepLog.read(log)
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
