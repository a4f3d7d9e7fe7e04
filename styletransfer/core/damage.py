"""The damage that restoration networks are measured on, the same every time, its repair, and the measuring."""

from __future__ import annotations

import io
import os
import warnings
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from styletransfer.core.bicubic import imresize, modcrop
from styletransfer.core.colour import luminance
from styletransfer.core.errors import SettingsError
from styletransfer.core.fidelity import luma, psnr_rgb_db, psnr_y_db, shaved, ssim_rgb, ssim_y
from styletransfer.core.pictures import load_picture
from styletransfer.core.restoration import RestoreEvalSettings

Frame = NDArray[np.uint8]
Spoil = Callable[[Frame, np.random.Generator], Frame]
Measure = Callable[[NDArray[Any], NDArray[Any]], float]

_FIDELITY: dict[str, Measure] = {
    "psnr_y": psnr_y_db,
    "ssim_y": ssim_y,
    "psnr_rgb": psnr_rgb_db,
    "ssim_rgb": ssim_rgb,
}

MIN_SIDE = 32
"""Least side of what is measured, pixels: the perceptual measures' coarsest features need it."""


@dataclass(frozen=True)
class Sample:
    """One photo of a test set; both pictures are RGB ``[H, W, 3]``, or one grey channel ``[H, W]``.

    Attributes:
        target: the original, cropped to a multiple of the scale, uint8.
        damaged: what the models get, uint8; smaller by the scale.
    """

    target: Frame
    damaged: Frame


@dataclass(frozen=True)
class Restoring:
    """A model to evaluate.

    Attributes:
        restore: RGB uint8 ``[H, W, 3]`` to ``[s H, s W, 3]``.
        training_loss: what it was trained with, as on the command line; empty where unknown.
    """

    restore: Callable[[Frame], Frame]
    training_loss: str = ""


def load_photo(path: Path) -> tuple[Frame, bool]:
    """A photo as RGB uint8 ``[H, W, 3]``, and whether its file has one grey channel.

    Raises:
        InputError: it is missing, damaged or no picture.
    """
    photo_hwc = load_picture(path).frame_hwc
    with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
        return photo_hwc, image.mode in ("1", "L", "LA", "I;16", "I", "F")


def make_sample(
    photo_hwc: Frame, name: str, settings: RestoreEvalSettings, *, is_grey: bool = False, spoil: Spoil | None = None
) -> Sample:
    """Damage a photo, the same way every time.

    ``sr`` shrinks all three channels by :func:`~styletransfer.core.bicubic.imresize`. One grey channel is what the
    literature takes of a colour photo: rounded Y for JPEG, rounded Rec. 601 luminance for noise. What models get is
    bytes, so noise is clipped here, which lifts the damaged picture's PSNR a little above that of the unclipped
    noise that tables quote (σ 25: 20.3 in place of 20.17 dB).

    Args:
        photo_hwc: RGB uint8 ``[H, W, 3]``.
        name: seeds the noise, together with the settings' seed.
        settings: what to do.
        is_grey: the file has one channel: it is its own Y.
        spoil: what ``clean`` undoes.

    Raises:
        SettingsError: the photo is too small.
    """
    if is_grey:
        target = np.ascontiguousarray(photo_hwc[..., 0])
    elif settings.is_grey:
        target = grey_plane(photo_hwc, settings.task)
    else:
        target = photo_hwc
    target = modcrop(target, settings.scale)
    if min(target.shape[:2]) < MIN_SIDE + 2 * settings.shave:
        raise SettingsError(
            f"{photo_hwc.shape[1]}×{photo_hwc.shape[0]} pixels are too few; at least "
            f"{MIN_SIDE + 2 * settings.shave} a side are needed"
        )
    if settings.task == "sr":
        return Sample(target, imresize(target, 1 / settings.scale))
    if settings.task == "deblock":
        return Sample(target, through_jpeg(target, settings.quality))
    seed = (settings.seed, zlib.crc32(os.fsencode(name)))
    if settings.task == "denoise":
        return Sample(target, as_bytes(add_noise(target, settings.sigma, seed)))
    if spoil is None:
        raise SettingsError("the task clean needs a function that spoils")
    colour = np.ascontiguousarray(np.broadcast_to(np.atleast_3d(target), photo_hwc.shape))
    return Sample(colour, spoil(colour, np.random.default_rng(seed)))


def grey_plane(photo_hwc: Frame, task: str) -> Frame:
    """The one channel of a colour photo that the task's tables are measured on, uint8 ``[H, W]``.

    Rounded Y in its narrow range, 16..235, for JPEG (LIVE1, Classic5); rounded Rec. 601 luminance for noise (BSD68).
    """
    plane = luminance(photo_hwc) if task == "denoise" else luma(photo_hwc)
    return np.rint(plane).astype(np.uint8)


def add_noise(picture: Frame, sigma: float, seed: tuple[int, ...]) -> NDArray[np.float64]:
    """The picture with Gaussian noise of that standard deviation, neither rounded nor clipped."""
    return picture + np.random.default_rng(seed).normal(0.0, sigma, picture.shape)


def through_jpeg(picture: Frame, quality: int) -> Frame:
    """The picture after JPEG of that quality: grey ``[H, W]``, or RGB with 4:2:0 chroma as cameras write it."""
    data = io.BytesIO()
    options = {} if picture.ndim == 2 else {"subsampling": "4:2:0"}
    Image.fromarray(picture).save(data, "JPEG", quality=quality, **options)
    return np.array(Image.open(data))


def restore_baseline(damaged: Frame, settings: RestoreEvalSettings) -> Frame:
    """What needs no network."""
    return imresize(damaged, float(settings.scale)) if settings.task == "sr" else damaged


def restore_by(model: Restoring, damaged: Frame) -> NDArray[Any]:
    """A model's result for RGB or one grey channel; grey goes through the network as three equal channels."""
    if damaged.ndim == 3:
        return model.restore(damaged)
    result = model.restore(np.repeat(damaged[..., None], 3, axis=2))
    return (luma(result) - 16) * (255 / 219)  # the same grey level, where the three are still equal


def measure(
    restored: NDArray[Any], target: Frame, settings: RestoreEvalSettings, measures: Mapping[str, Measure]
) -> dict[str, float]:
    """Every metric of the settings.

    Args:
        restored: 0..255, the shape of ``target``.
        target: the original, RGB uint8 ``[H, W, 3]`` or one grey channel ``[H, W]``.
        settings: what to measure.
        measures: by name, of those that need a network; they get RGB uint8 ``[H, W, 3]`` without the border.

    Raises:
        SettingsError: the result has another size than the original.
    """
    if restored.shape != target.shape:
        made, wanted = (f"{shape[1]}×{shape[0]}" for shape in (restored.shape, target.shape))
        raise SettingsError(f"made {made} pixels, not {wanted}; is the scale {settings.scale} right?")
    pair = [shaved(picture, settings.shave) for picture in (restored, target)]
    seen = [as_bytes(np.asarray(np.broadcast_to(np.atleast_3d(part), (*part.shape[:2], 3)), float)) for part in pair]
    return {
        name: round(_FIDELITY[name](*pair) if name in _FIDELITY else measures[name](*seen), 6)
        for name in settings.metrics
    }


def as_bytes(picture: NDArray[Any]) -> Frame:
    """Real numbers, rounded and clipped to 0..255."""
    clipped: Frame = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return clipped
