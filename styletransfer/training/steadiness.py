"""A loss against flicker that needs no video: the stylized picture of a moved photo is the moved stylized picture.

Between two frames of a clip things move by fractions of a pixel, the sensor's and the codec's noise change, and the
light drifts. A photo is given the same: :class:`Disturbance` moves it and makes it noisier, and what the network
paints of that is compared with what it painted of the photo itself, moved likewise. No frame of a clip is needed;
where there are some, :class:`ClipMotion` takes real motion and noise out of them.

Eilertsen, Mantiuk, Unger: Single-frame Regularization for Temporally Stable CNNs (CVPR 2019), transform invariance;
Wang, Xu, Zhang, Wang, Liu: Consistent Video Style Transfer via Compound Regularization (AAAI 2020), who put motion and
a change of light together for style transfer. Departures: motions are global affine maps, half of them whole pixels,
which need no interpolation; JPEG is among the noises; the gradient flows through both pictures. The loss along the
optical flow of clips is that of Gupta, Johnson, Alahi, Fei-Fei (2017) and Huang et al. (2017), for one pair of frames.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from styletransfer.core.frames import FramePair

PICTURES = 2
"""Pictures of a batch that are painted a second time: the term costs a part of a step, whatever the batch."""

_STILL, _WHOLE_PIXELS = 0.25, 0.25  # shares; the rest moves by affine maps
_SHIFT = 8.0  # pixels, largest
_TURN = math.radians(3)
_ZOOM = 0.04
_NOISE_LEVELS = 5.0  # largest standard deviation, grey levels
_GAIN, _OFFSET_LEVELS = 0.06, 6.0
_JPEG_SHARE, _JPEG_QUALITY = 0.5, (40, 95)
_MARGIN = 8  # pixels at the border that are not compared: both pictures' padding is seen there


class Motion(Protocol):
    """From one picture to another of the same things."""

    def move(self, picture_bchw: Tensor) -> Tensor:
        """Pictures ``[N, C, H, W]`` as they look after the motion."""

    def compared(self, picture_bchw: Tensor) -> Tensor:
        """1 where both pictures show the same and no border, else 0: float32 ``[N, 1, H, W]``."""


@dataclass(frozen=True)
class Disturbance:
    """What happens to a few photos between two frames.

    Attributes:
        matrices: float32 ``[N, 2, 3]``: where, in pixels from the centre, each pixel of the moved picture comes from.
        seed: of the noise.
    """

    matrices: Tensor
    seed: int

    @classmethod
    def sample(cls, seed: int, step: int, count: int) -> Disturbance:
        """That of a training step, a function of its arguments alone: resuming needs no saved state."""
        rng = np.random.default_rng([seed, step, 3])
        matrices = torch.from_numpy(np.stack([_matrix(rng) for _ in range(count)]).astype(np.float32))
        return cls(matrices, int(rng.integers(2**31)))

    def move(self, picture_bchw: Tensor) -> Tensor:
        """The pictures ``[N, C, H, W]``, moved; bicubic, exact where the motion is one of whole pixels."""
        grid = self._grid(picture_bchw)
        return F.grid_sample(picture_bchw, grid, mode="bicubic", padding_mode="reflection", align_corners=False)

    def spoil(self, photo_bchw: Tensor) -> Tensor:
        """Another light, sensor noise and, for a share, JPEG: RGB float32 ``[N, 3, H, W]``, whole 0..255."""
        rng = np.random.default_rng(self.seed)
        spoiled = [_spoil(rng, photo.permute(1, 2, 0).cpu().numpy()) for photo in photo_bchw]
        return torch.from_numpy(np.stack(spoiled)).to(photo_bchw.device).permute(0, 3, 1, 2).float()

    def compared(self, picture_bchw: Tensor) -> Tensor:
        """1 where both pictures show the same and no border, else 0: float32 ``[N, 1, H, W]``."""
        _, _, height, width = picture_bchw.shape
        margin_y, margin_x = min(_MARGIN, height // 8), min(_MARGIN, width // 8)
        grid = self._grid(picture_bchw)
        room = grid.new_tensor([1 - 2 * margin_x / width, 1 - 2 * margin_y / height])
        inside = (grid.abs() < room).all(-1).float()[:, None]
        inside[:, :, :margin_y] = inside[:, :, height - margin_y :] = 0
        inside[:, :, :, :margin_x] = inside[:, :, :, width - margin_x :] = 0
        return inside

    def _grid(self, picture_bchw: Tensor) -> Tensor:
        """Source positions as ``grid_sample`` wants them, -1..1: float32 ``[N, H, W, 2]``."""
        n, _, height, width = picture_bchw.shape
        # Pixels to grid_sample's -1..1: a matrix's linear part also mixes axes of different lengths.
        half = torch.tensor([width / 2, height / 2])
        theta = self.matrices / half[None, :, None] * torch.cat([half, torch.ones(1)])
        return F.affine_grid(theta.to(picture_bchw.device), [n, 1, height, width], align_corners=False)


class ClipMotion:
    """What happened between two frames of a clip.

    Args:
        pair: the frames and the motion between them.
    """

    def __init__(self, pair: FramePair) -> None:
        self._pair = pair

    def frames(self, device: torch.device) -> Tensor:
        """Both: RGB float32 ``[2, 3, H, W]``, 0..255."""
        both = torch.from_numpy(np.stack([self._pair.first_hwc, self._pair.second_hwc]))
        return both.to(device).permute(0, 3, 1, 2).float()

    def move(self, picture_bchw: Tensor) -> Tensor:
        """What the first frame's picture ``[1, C, H, W]`` looks like in the second; bilinear."""
        height, width = self._pair.flow_hw2.shape[:2]
        flow = torch.from_numpy(self._pair.flow_hw2).to(picture_bchw.device)
        # grid_sample counts from -1 to 1, from edge to edge.
        x = (torch.arange(width, device=flow.device) + 0.5 + flow[..., 0]) * (2 / width) - 1
        y = (torch.arange(height, device=flow.device)[:, None] + 0.5 + flow[..., 1]) * (2 / height) - 1
        grid = torch.stack([x, y], dim=-1)[None]
        return F.grid_sample(picture_bchw, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def compared(self, picture_bchw: Tensor) -> Tensor:
        """See :class:`Motion`."""
        margin = min(_MARGIN, *(side // 8 for side in self._pair.compared_hw.shape))
        inside = np.zeros_like(self._pair.compared_hw)
        middle = slice(margin, -margin or None), slice(margin, -margin or None)
        inside[middle] = self._pair.compared_hw[middle]
        return torch.from_numpy(inside).to(picture_bchw.device)[None, None].float()


def steadiness_loss(stylized_bchw: Tensor, moved_bchw: Tensor, motion: Motion) -> Tensor:
    """Mean squared difference of the moved stylized pictures and the stylized moved ones, where both show the same.

    Args:
        stylized_bchw: what the network makes of the photos, ``[N, 3, H, W]``, 0..255.
        moved_bchw: what it makes of the moved and spoiled photos, same shape.
        motion: from those to these.

    Returns:
        A float32 scalar, squared grey levels.

    Raises:
        ValueError: the shapes differ.
    """
    if stylized_bchw.shape != moved_bchw.shape:
        raise ValueError(f"stylized {tuple(stylized_bchw.shape)} and moved {tuple(moved_bchw.shape)} differ in shape")
    compared = motion.compared(stylized_bchw)
    difference = (motion.move(stylized_bchw.float()) - moved_bchw.float()) * compared
    return difference.square().sum() / (compared.sum() * stylized_bchw.shape[1]).clamp(min=1)


def _matrix(rng: np.random.Generator) -> NDArray[np.float64]:
    """One motion, ``[2, 3]``."""
    kind = rng.random()
    shift = rng.uniform(-_SHIFT, _SHIFT, (2, 1))
    if kind < _STILL:
        return np.eye(2, 3)
    if kind < _STILL + _WHOLE_PIXELS:
        return np.hstack([np.eye(2), np.rint(shift)])
    angle = rng.uniform(-_TURN, _TURN)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    zoom = np.diag(np.exp(rng.uniform(-_ZOOM, _ZOOM, 2)))
    return np.hstack([turn @ zoom, shift])


def _spoil(rng: np.random.Generator, photo_hwc: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Light, noise and perhaps JPEG: uint8."""
    light = photo_hwc * np.exp(rng.uniform(-_GAIN, _GAIN)) + rng.uniform(-_OFFSET_LEVELS, _OFFSET_LEVELS)
    noise = rng.standard_normal(photo_hwc.shape, dtype=np.float32) * rng.uniform(0, _NOISE_LEVELS)
    spoiled: NDArray[np.uint8] = np.clip(np.rint(light + noise), 0, 255).astype(np.uint8)
    if rng.random() < _JPEG_SHARE:
        stream = io.BytesIO()
        Image.fromarray(spoiled).save(stream, "JPEG", quality=int(rng.integers(*_JPEG_QUALITY)))
        spoiled = np.array(Image.open(stream), dtype=np.uint8)
    return spoiled
