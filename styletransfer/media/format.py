"""What video frames look like: size, clock, colours, and which way up they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

UNSPECIFIED, BT709, BT601 = 2, 1, 6  # as FFmpeg numbers matrices, transfers and primaries
LIMITED, FULL = 1, 2  # and ranges; 0 is unspecified
DEFAULT_RATE = Fraction(25)


@dataclass(frozen=True)
class VideoFormat:
    """What the frames of a video look like and how its clock counts.

    Attributes:
        width: width of the frames in pixels.
        height: height of the frames in pixels.
        time_base: one tick of the time stamps, in seconds.
        rate: average frames per second.
        sample_aspect_ratio: width : height of one pixel.
        colorspace: matrix of the YUV data, as FFmpeg numbers it (1 BT.709, 2 unspecified, 6 BT.601).
        color_range: 1 limited, 2 full, 0 unspecified.
        color_trc: transfer characteristic, as FFmpeg numbers it (2 unspecified).
        color_primaries: primaries, as FFmpeg numbers them (2 unspecified).
    """

    width: int
    height: int
    time_base: Fraction = Fraction(1, 90_000)
    rate: Fraction = DEFAULT_RATE
    sample_aspect_ratio: Fraction = Fraction(1)
    colorspace: int = BT709
    color_range: int = LIMITED
    color_trc: int = UNSPECIFIED
    color_primaries: int = UNSPECIFIED


def enlarged(format: VideoFormat, scale: int) -> VideoFormat:
    """The format of the same clip with frames of ``scale`` times the width and height."""
    return format if scale == 1 else replace(format, width=format.width * scale, height=format.height * scale)


SWSCALE_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
"""FFmpeg's number of a YUV matrix → swscale's; video with other matrices cannot be converted exactly."""


def colour_matrix(colorspace: int, size_wh: tuple[int, int]) -> int:
    """The matrix to convert with, as FFmpeg numbers it: the tag, or what players assume without one.

    Players take untagged video for BT.709 when it is larger than standard definition, else for
    BT.601. The rule looks at both sides, so that turning a clip does not change its colours.
    """
    if colorspace in SWSCALE_MATRIX:
        return colorspace
    return BT709 if max(size_wh) >= 1280 or min(size_wh) > 576 else BT601


def is_full_range(decoded: VideoFrame) -> bool:
    """Whether black is 0 and white 255 (not 16 and 235) in a decoded YUV frame."""
    return int(decoded.color_range) == 2 or decoded.format.name.startswith("yuvj")


def scaled_size(size_wh: tuple[int, int], longer_side: int | None) -> tuple[int, int]:
    """The size whose longer side has ``longer_side`` pixels, both sides even; ``None`` keeps the size."""
    if longer_side is None:
        return size_wh
    scale = Fraction(longer_side, max(size_wh))
    width, height = (max(2, 2 * round(side * scale / 2)) for side in size_wh)
    return width, height


@dataclass(frozen=True)
class Turn:
    """One of the eight ways to turn and mirror a picture: transpose first, then flip.

    Attributes:
        transposed: rows become columns.
        flip_x: left and right change places (after transposing).
        flip_y: top and bottom change places (after transposing).
    """

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of(cls, decoded: VideoFrame) -> Turn:
        """The turn that the frame's display matrix asks for; odd angles are left alone."""
        side_data: Any = decoded.side_data  # typed as a plain dict, which it is not
        data = side_data.get(SideDataType.DISPLAYMATRIX)
        if data is None:
            return cls()
        # FFmpeg's matrix maps (x, y) to (a x + c y, b x + d y), in 16.16 fixed point.
        a, b, _, c, d = (int(v) / 65536 for v in np.frombuffer(bytes(data), dtype=np.int32)[:5])
        if abs(a) > 0.5 and abs(d) > 0.5 and abs(b) < 0.5 and abs(c) < 0.5:
            return cls(False, a < 0, d < 0)
        if abs(b) > 0.5 and abs(c) > 0.5 and abs(a) < 0.5 and abs(d) < 0.5:
            return cls(True, c < 0, b < 0)
        return cls()

    def apply(self, frame_hwc: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn a picture (``[H, W, 3]``); the result is C-contiguous."""
        if self.transposed:
            frame_hwc = frame_hwc.transpose(1, 0, 2)
        if self.flip_x:
            frame_hwc = frame_hwc[:, ::-1]
        if self.flip_y:
            frame_hwc = frame_hwc[::-1]
        return np.ascontiguousarray(frame_hwc)
