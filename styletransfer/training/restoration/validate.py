"""How well a trained network does on a folder of pictures: PSNR on Y, beside that of the spoiled pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from styletransfer.core.bicubic import imresize, modcrop
from styletransfer.core.errors import InputError
from styletransfer.core.fidelity import psnr_y_db
from styletransfer.core.photos import find_photos
from styletransfer.core.pictures import load_picture
from styletransfer.core.settings_restore import RestoreSettings
from styletransfer.training.restoration.degrade import Frame, shrink, spoiler, to_grey
from styletransfer.training.restoration.networks import RestoreNet


def mean_psnr_db(
    network: RestoreNet, settings: RestoreSettings, folder: Path, on_unusable: Callable[[str], None]
) -> tuple[float, float]:
    """Mean PSNR on Y of the restored pictures and of the spoiled ones (enlarged by bicubic), in decibels.

    Args:
        network: on the CPU and in evaluation.
        settings: what it was trained to undo; the same is done to the pictures, a range at its middle.
        folder: pictures of any kind; the border is shaved by ``scale`` pixels where pictures are enlarged.
        on_unusable: told of each picture that is damaged or too small, and left out.

    Raises:
        InputError: there is no picture that can be used.
    """
    spoil = spoiler(settings.at_the_middle(), spares=False)
    figures = []
    for index, path in enumerate(find_photos(folder)):
        try:
            photo = load_picture(path).frame_hwc
            if min(photo.shape[:2]) < 8 * settings.scale * network.size_multiple:
                raise InputError(f"{path}: too small to measure on")
        except InputError as error:
            on_unusable(f"{error}; left out")
            continue
        photo = modcrop(photo, settings.scale * network.size_multiple)
        photo = to_grey(photo, settings.task) if settings.grey else photo
        target, spoiled = shrink(photo, settings.scale) if settings.scale > 1 else (photo, photo)
        spoiled = spoil(spoiled, np.random.default_rng([settings.seed, index]))
        plain = imresize(spoiled, target.shape[:2]) if settings.scale > 1 else spoiled
        pictures = [restored(network, spoiled), plain, target]
        if settings.grey:  # already Y
            pictures = [picture[..., 0] for picture in pictures]
        shave = settings.scale if settings.scale > 1 else 0
        figures.append([psnr_y_db(picture, pictures[2], shave) for picture in pictures[:2]])
    if not figures:
        raise InputError(f"{folder}: no picture to measure on that can be read and is large enough")
    ours, before = np.mean(figures, axis=0)
    return float(ours), float(before)


def restored(network: RestoreNet, frame_hwc: Frame) -> Frame:
    """One picture through the network, RGB uint8 ``[H, W, 3]``, sides in multiples of what the network takes."""
    with torch.no_grad():
        photo = torch.from_numpy(np.array(frame_hwc)).permute(2, 0, 1)[None].float() / 255
        result = (network(photo)[0].clamp(0, 1) * 255).round().to(torch.uint8)
    frame: Frame = result.permute(1, 2, 0).numpy()
    return frame
