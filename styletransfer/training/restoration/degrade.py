"""What is done to a photo that a network learns to undo: shrinking, noise, JPEG, and what a webcam does.

Everything takes and gives RGB uint8 ``[H, W, 3]``, as the files' input is bytes: noise is rounded and cut off at black
and white, which the literature's additive noise is not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from styletransfer.core.bicubic import imresize, modcrop
from styletransfer.core.damage import as_bytes, grey_plane, through_jpeg
from styletransfer.core.settings_restore import RestoreSettings

Frame = NDArray[np.uint8]
Spoil = Callable[[Frame, np.random.Generator], Frame]

_SPARED = 0.05  # share of webcam frames that are left as they are: a clean one is to stay so
_BLUR_PX = (0.2, 1.1)  # standard deviation of the optics' blur
_SHRINK = (0.6, 0.95)  # cameras that enlarge what their sensor gives
_READ_LEVELS = 16.0  # largest noise at black, grey levels: a room in the evening
_SHOT_LEVELS = 12.0  # largest noise that white has above that
_WEBCAM_QUALITY = (30, 90)


def shrink(photo_hwc: Frame, scale: int) -> tuple[Frame, Frame]:
    """The photo, cropped to a multiple of ``scale``, and its ``1 / scale`` by antialiased bicubic resizing."""
    target = modcrop(photo_hwc, scale)
    return target, imresize(target, 1 / scale)


def to_grey(photo_hwc: Frame, task: str) -> Frame:
    """The channel that the task's tables are measured on (:func:`grey_plane`), three times."""
    return np.repeat(grey_plane(photo_hwc, task)[..., None], 3, axis=2)


def add_noise(frame_hwc: Frame, sigma: float, rng: np.random.Generator, is_grey: bool = False) -> Frame:
    """Gaussian noise.

    Args:
        frame_hwc: the photo.
        sigma: standard deviation, grey levels.
        rng: where the noise comes from.
        is_grey: the same noise in all channels.
    """
    shape = (*frame_hwc.shape[:2], 1 if is_grey else 3)
    return as_bytes(frame_hwc + np.float32(sigma) * rng.standard_normal(shape, dtype=np.float32))


def through_optics(frame_hwc: Frame, rng: np.random.Generator) -> Frame:
    """What reaches a webcam's file of a scene before noise and compression: soft optics, an enlarged sensor.

    Nothing that ``clean`` takes back: who sharpens, sharpens what is left of the noise.
    """
    image = Image.fromarray(frame_hwc)
    if rng.random() < 0.6:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(*_BLUR_PX))))
    if rng.random() < 0.3:
        factor = rng.uniform(*_SHRINK)
        small = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        kinds = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
        image = image.resize(small, kinds[rng.integers(2)]).resize(image.size, kinds[rng.integers(2)])
    return np.asarray(image)


def as_webcam(frame_hwc: Frame, rng: np.random.Generator) -> Frame:
    """What a webcam adds to what it sees (:func:`through_optics`): noise that grows with light, JPEG.

    Every strength is drawn anew.
    """
    light = frame_hwc.astype(np.float32)
    noise = rng.standard_normal(light.shape, dtype=np.float32)
    if rng.random() < 0.3:
        noise = _smeared(noise)
    variance = rng.uniform(0, _READ_LEVELS) ** 2 + rng.uniform(0, _SHOT_LEVELS) ** 2 * light / 255
    noisy = as_bytes(light + noise * np.sqrt(variance, dtype=np.float32))
    low, high = _WEBCAM_QUALITY
    return through_jpeg(noisy, int(rng.integers(low, high + 1)))


def spoiler(settings: RestoreSettings, spares: bool = True) -> Spoil:
    """What a training of this task does to every patch; of ``sr`` nothing more, since its photos are shrunk whole.

    Args:
        settings: task and strengths.
        spares: of ``clean``, leave one frame of twenty as it is; for training, not for measuring.
    """
    if settings.task == "denoise":
        return lambda frame, rng: add_noise(frame, rng.uniform(*settings.sigma_range), rng, settings.grey)
    if settings.task == "deblock":
        low, high = settings.quality_range
        return lambda frame, rng: _through_jpeg(frame, round(rng.uniform(low, high)), settings.grey)
    if settings.task == "clean":
        return lambda frame, rng: frame if spares and rng.random() < _SPARED else as_webcam(frame, rng)
    return lambda frame, _: frame


def _through_jpeg(frame_hwc: Frame, quality: int, is_grey: bool) -> Frame:
    if is_grey:
        return np.repeat(through_jpeg(frame_hwc[..., 0], quality)[..., None], 3, axis=2)
    return through_jpeg(frame_hwc, quality)


def _smeared(noise: NDArray[np.float32]) -> NDArray[np.float32]:
    """White noise as a camera's own processing leaves it: alike in neighbours, of the same variance."""
    for axis in (0, 1):
        noise = noise + 0.5 * (np.roll(noise, 1, axis) + np.roll(noise, -1, axis))
    return noise / np.float32(1.5)
