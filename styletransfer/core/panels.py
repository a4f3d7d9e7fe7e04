"""Pictures side by side, each with a title above and figures below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_INK, _GREY, _PAPER = (20, 20, 20), (95, 95, 95), (255, 255, 255)
_WIDEST = 4  # widths to a height
_MIN_TEXT, _MAX_TEXT = 11, 40


@dataclass(frozen=True)
class Panel:
    """One picture of a row.

    Attributes:
        title: above it.
        frame_hwc: RGB uint8 ``[H, W, 3]``.
        lines: below it.
    """

    title: str
    frame_hwc: NDArray[np.uint8]
    lines: tuple[str, ...] = ()


def draw_panels(panels: Sequence[Panel], height: int) -> NDArray[np.uint8]:
    """A row of pictures of one height on white.

    The text takes about a twentieth of the height, and is made smaller where a line is wider than its picture.

    Args:
        panels: from left to right.
        height: of every picture, pixels; what is more than four times as wide as high is lower.

    Returns:
        RGB uint8 ``[H, W, 3]``.
    """
    gap = max(4, height // 32)
    pictures = [_scaled(panel.frame_hwc, height) for panel in panels]
    size = min(max(_MIN_TEXT, height // 20), _MAX_TEXT)
    while size > _MIN_TEXT and not all(_fits(p, image.width, size) for p, image in zip(panels, pictures, strict=True)):
        size -= 1
    font, small = ImageFont.load_default(size), ImageFont.load_default(_small(size))
    widths = [max(image.width, round(_width(p, size))) for p, image in zip(panels, pictures, strict=True)]
    lines = max((len(panel.lines) for panel in panels), default=0)
    top, step = gap + round(1.6 * size), round(1.45 * _small(size))
    sheet_wh = (sum(widths) + gap * (len(panels) + 1), top + height + gap // 2 + step * lines + gap)
    sheet = Image.new("RGB", sheet_wh, _PAPER)
    draw = ImageDraw.Draw(sheet)
    left = gap
    for panel, image, width in zip(panels, pictures, widths, strict=True):
        draw.text((left, gap), panel.title, fill=_INK, font=font)
        sheet.paste(image, (left, top))
        for number, line in enumerate(panel.lines):
            draw.text((left, top + height + gap // 2 + number * step), line, fill=_GREY, font=small)
        left += width + gap
    return np.array(sheet)


def _scaled(frame_hwc: NDArray[np.uint8], height: int) -> Image.Image:
    image = Image.fromarray(frame_hwc)
    factor = min(height / image.height, _WIDEST * height / image.width)
    size_wh = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image if image.size == size_wh else image.resize(size_wh, Image.Resampling.LANCZOS)


def _small(size: int) -> int:
    return max(_MIN_TEXT - 1, round(0.8 * size))


def _width(panel: Panel, size: int) -> float:
    """Of the widest line, in pixels."""
    font, small = ImageFont.load_default(size), ImageFont.load_default(_small(size))
    return max([font.getlength(panel.title), *(small.getlength(line) for line in panel.lines)])


def _fits(panel: Panel, width: int, size: int) -> bool:
    return _width(panel, size) <= width
