"""Anti-aliased shapes, icons and text on a picture: masks that are made once, and stamped in a colour."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from styletransfer.media.opencv import import_cv2

Canvas = NDArray[np.uint8]
Mask = NDArray[np.uint8]
Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)

_OVERSAMPLED = 4
_MASKS_KEPT = 512  # labels that count, such as figures, make new ones all the time


def stamp(canvas: Canvas, mask_hw: Mask, corner_xy: tuple[int, int], colour: Colour, opacity: float = 1.0) -> None:
    """Colour ``canvas`` (uint8 ``[H, W, 3]``) in place where a mask (uint8 ``[h, w]``) says.

    What lies outside the canvas is left out. The colour is in the canvas' order of channels.
    """
    cut = _cut(canvas, mask_hw, *corner_xy)
    if cut is None or opacity <= 0.004:
        return
    cv2 = import_cv2()
    roi, mask = cut
    if opacity < 0.996:
        mask = cv2.convertScaleAbs(mask, alpha=opacity)
    alpha = cv2.merge((mask, mask, mask))
    paint = alpha if colour == WHITE else cv2.multiply(alpha, np.array([*colour, 0.0]), scale=1 / 255)
    cv2.add(cv2.multiply(roi, cv2.bitwise_not(alpha), scale=1 / 255), paint, dst=roi)


def stamp_picture(
    canvas: Canvas, picture_hwc: Canvas, mask_hw: Mask, corner_xy: tuple[int, int], opacity: float = 1.0
) -> None:
    """Lay a picture (uint8 ``[h, w, 3]``) on the canvas where a mask of its size says."""
    x, y = corner_xy
    cut = _cut(canvas, mask_hw, x, y)
    if cut is None or opacity <= 0.004:
        return
    cv2 = import_cv2()
    roi, mask = cut
    left, top = max(0, -x), max(0, -y)
    part = picture_hwc[top : top + roi.shape[0], left : left + roi.shape[1]]
    alpha = cv2.merge((cv2.convertScaleAbs(mask, alpha=min(1.0, opacity)),) * 3)
    above = cv2.multiply(part, alpha, scale=1 / 255)
    cv2.add(cv2.multiply(roi, cv2.bitwise_not(alpha), scale=1 / 255), above, dst=roi)


def shade(canvas: Canvas, top: int, bottom: int, strengths: tuple[float, float], opacity: float = 1.0) -> None:
    """Darken rows ``top`` .. ``bottom`` in place, from one strength to the other (0: not at all, 1: black)."""
    top, bottom = max(0, top), min(canvas.shape[0], bottom)
    if bottom <= top or opacity <= 0.004:
        return
    cv2 = import_cv2()
    roi = canvas[top:bottom]
    first, last = (round(100 * strength * opacity) for strength in strengths)
    cv2.multiply(roi, _gradient(bottom - top, canvas.shape[1], first, last), dst=roi, scale=1 / 255)


@lru_cache(maxsize=8)
def _gradient(height: int, width: int, first_percent: int, last_percent: int) -> Canvas:
    ramp = np.linspace(0, 1, height)
    ramp = ramp * ramp * (3 - 2 * ramp)
    kept = 255 * (1 - (first_percent + (last_percent - first_percent) * ramp) / 100)
    return np.repeat(kept.round().astype(np.uint8), width * 3).reshape(height, width, 3)


def _cut(canvas: Canvas, mask: Mask, x: int, y: int) -> tuple[Canvas, Mask] | None:
    """The part of the canvas under a mask, and the part of the mask on the canvas; None where they do not meet."""
    height, width = canvas.shape[:2]
    left, top = max(0, -x), max(0, -y)
    right, bottom = min(mask.shape[1], width - x), min(mask.shape[0], height - y)
    if right <= left or bottom <= top:
        return None
    return canvas[y + top : y + bottom, x + left : x + right], mask[top:bottom, left:right]


def write(
    canvas: Canvas,
    text: str,
    x: int,
    y: int,
    size: int,
    *,
    colour: Colour = WHITE,
    opacity: float = 1.0,
    align: str = "left",
    shadow: bool = True,
) -> int:
    """Write a line of text, its upper edge at ``y``, with a soft shadow; returns its width in pixels.

    Args:
        canvas: uint8 ``[H, W, 3]``, changed in place.
        text: one line; accents that the font lacks are left out.
        x: the left edge, the middle or the right edge.
        y: the upper edge of the line.
        size: height of the font in pixels.
        colour: in the canvas' order of channels.
        opacity: 0 .. 1.
        align: ``left``, ``middle`` or ``right``: what ``x`` means.
        shadow: whether a dark halo keeps it readable on anything.
    """
    mask = text_mask(text, size)
    width = int(mask.shape[1])
    x -= {"left": 0, "middle": width // 2, "right": width}[align]
    if shadow:
        halo, reach = _halo(text, size)
        stamp(canvas, halo, (x - reach, y - reach), BLACK, 0.75 * opacity)
    stamp(canvas, mask, (x, y), colour, opacity)
    return width


def text_width(text: str, size: int) -> int:
    """Width of a line of text in pixels."""
    return int(text_mask(text, size).shape[1])


@lru_cache(maxsize=_MASKS_KEPT)
def text_mask(text: str, size: int) -> Mask:
    """A line of text as uint8 ``[H, W]``, 255 on the letters; all lines of one size are equally high."""
    font: Any = _font(size)
    shown = _plain(text) or " "
    width = max(1, round(font.getlength(shown)) + 1)
    image = Image.new("L", (width, round(size * 1.3) + 1))
    ImageDraw.Draw(image).text((0, round(size * 1.05)), shown, fill=255, font=font, anchor="ls")
    return np.asarray(image)


@lru_cache(maxsize=_MASKS_KEPT)
def _halo(text: str, size: int) -> tuple[Mask, int]:
    mask, reach = text_mask(text, size), max(2, size // 4)
    image = Image.fromarray(np.pad(mask, reach)).filter(ImageFilter.GaussianBlur(reach / 2.2))
    return np.minimum(255, np.asarray(image).astype(np.uint16) * 2).astype(np.uint8), reach


@lru_cache(maxsize=16)
def _font(size: int) -> Any:
    return ImageFont.load_default(size=size)


def _plain(text: str) -> str:
    """What Pillow's own font has: Latin letters without accents."""
    replaced = text.translate({0xD7: "x", 0x2013: "-", 0x2014: "-", 0x2019: "'", 0x2026: "...", 0xDF: "ss"})
    letters = unicodedata.normalize("NFKD", replaced)
    return "".join(c if " " <= c <= "~" or c == "·" else "" if unicodedata.combining(c) else "?" for c in letters)


@lru_cache(maxsize=128)
def rounded(width: int, height: int, radius: int, line: int = 0) -> Mask:
    """A rectangle with round corners as uint8 ``[H, W]``; ``line`` > 0 gives its outline of so many pixels."""
    scale = _OVERSAMPLED
    image = Image.new("L", (width * scale, height * scale))
    box = (0, 0, width * scale - 1, height * scale - 1)
    draw = ImageDraw.Draw(image)
    if line:
        draw.rounded_rectangle(box, radius * scale, outline=255, width=line * scale)
    else:
        draw.rounded_rectangle(box, radius * scale, fill=255)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def disc(diameter: int) -> Mask:
    """A filled circle."""
    return rounded(diameter, diameter, diameter // 2)


@lru_cache(maxsize=32)
def soft_disc(diameter: int) -> Mask:
    """A circle's shadow: its edge is blurred, so the mask is half as wide again."""
    reach = diameter // 4
    return np.asarray(Image.fromarray(np.pad(disc(diameter), reach)).filter(ImageFilter.GaussianBlur(reach / 2)))


@lru_cache(maxsize=64)
def icon(name: str, size: int) -> Mask:
    """An icon as uint8 ``[size, size]``; the names are those of the window's buttons."""
    grid = 24
    scale = size * _OVERSAMPLED / grid
    image = Image.new("L", (size * _OVERSAMPLED,) * 2)
    draw = ImageDraw.Draw(image)
    for kind, numbers, *rest in _ICONS[name]:
        points = [number * scale for number in numbers]
        fill, line = [*rest, 0, 1.8][:2] if len(rest) != 1 else (rest[0], 1.8)
        if kind == "line":
            draw.line(points, fill=255, width=round(line * scale), joint="curve")
        elif kind == "polygon":
            draw.polygon(points, fill=fill or None, outline=255, width=round(line * scale))
        elif kind == "ellipse":
            draw.ellipse(points, fill=fill or None, outline=255, width=round(line * scale))
        elif kind == "rounded":
            draw.rounded_rectangle(points, 2.5 * scale, fill=fill or None, outline=255, width=round(line * scale))
        elif kind == "text":
            draw.text((12 * scale, 12.5 * scale), "?", fill=255, font=_font(round(17 * scale)), anchor="mm")
    return np.asarray(image.resize((size, size), Image.Resampling.BOX))


# Kind, coordinates on a grid of 24, fill (0 or 255), width of the line.
_ICONS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "person": (
        ("ellipse", (8, 3.5, 16, 11.5), 255),
        ("polygon", (4, 20.5, 4.6, 17, 7, 14.6, 10, 13.6, 14, 13.6, 17, 14.6, 19.4, 17, 20, 20.5), 255),
    ),
    "colours": (
        ("ellipse", (7.2, 3.4, 16.8, 13)),
        ("ellipse", (3.2, 10.4, 12.8, 20)),
        ("ellipse", (11.2, 10.4, 20.8, 20)),
    ),
    "mirror": (
        ("line", (12, 3, 12, 21), 0, 1.5),
        ("polygon", (9.3, 6.5, 9.3, 17.5, 2.8, 17.5), 0, 1.6),
        ("polygon", (14.7, 6.5, 14.7, 17.5, 21.2, 17.5), 255, 1.6),
    ),
    "split": (
        ("rounded", (2.8, 5, 21.2, 19)),
        ("polygon", (12, 5.4, 18.8, 5.4, 20.8, 7.4, 20.8, 16.6, 18.8, 18.6, 12, 18.6), 255),
    ),
    "snapshot": (
        ("rounded", (2.8, 7, 21.2, 19.4)),
        ("ellipse", (8.4, 9.6, 15.6, 16.8)),
        ("polygon", (8, 7.4, 9.6, 4.8, 14.4, 4.8, 16, 7.4), 255),
    ),
    "recording": (("ellipse", (4.4, 4.4, 19.6, 19.6), 0, 1.8), ("ellipse", (8, 8, 16, 16), 255)),
    "info": (
        ("line", (6, 19.5, 6, 12.5), 0, 2.8),
        ("line", (12, 19.5, 12, 4.5), 0, 2.8),
        ("line", (18, 19.5, 18, 8.5), 0, 2.8),
    ),
    "full_screen": (
        ("line", (4, 9.5, 4, 4, 9.5, 4)),
        ("line", (14.5, 4, 20, 4, 20, 9.5)),
        ("line", (20, 14.5, 20, 20, 14.5, 20)),
        ("line", (9.5, 20, 4, 20, 4, 14.5)),
    ),
    "help": (("text", ()),),
}
