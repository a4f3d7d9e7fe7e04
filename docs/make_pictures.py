"""Make the pictures of the README with the shipped styles, from photos that scikit-image ships.

    pip install scikit-image && python docs/make_pictures.py

They go to docs/pictures/; CREDITS.md there says where the photos come from.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from styletransfer.core import zoo
from styletransfer.core.pictures import Picture, save_picture
from styletransfer.runtime.stylizer import Stylizer

Frame = NDArray[np.uint8]

FOLDER = Path(__file__).parent / "pictures"
QUALITY = 74
GAP = 6  # white pixels between pictures

# One strip a style: these photos, cut to this shape (width / height) around this point (parts of the photo).
STRIP = (
    ("coffee", 1.5, (0.5, 0.5)),
    ("chelsea", 1.5, (0.5, 0.5)),
    ("rocket", 1.5, (0.5, 0.5)),
    ("astronaut", 1.0, (0.5, 0.5)),
)
STRIP_HEIGHT, FAST_STRIP_HEIGHT = 208, 128
"""Pixels; the second for the networks of half the width, which repeat paintings."""

# Slices of one photo: the style ("" is the photo itself) and the part of the width where the slice begins.
HERO = (("", 0.0), ("starry_night", 0.37), ("udnie", 0.52), ("sunflowers", 0.655), ("the_scream", 0.79))
HERO_SIZE_WH = (1000, 620)
HERO_SLANT = 70  # pixels that a slice leans to the right from its bottom to its top

CONTROLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("sunflowers", {"strength": 0.35}),
    ("sunflowers", {"strength": 0.7}),
    ("sunflowers", {}),
    ("sunflowers", {"keep_colors": True}),
)


@cache
def photo(name: str) -> Image.Image:
    """One of scikit-image's photos."""
    return Image.fromarray(getattr(skimage.data, name)()).convert("RGB")


@cache
def stylizer(style: str) -> Stylizer:
    """A shipped style on the CPU, so that the pictures are the same everywhere."""
    return Stylizer(zoo.resolve(style), provider="cpu")


def cut(picture: Image.Image, ratio: float, centre: tuple[float, float], height: int) -> Image.Image:
    """The largest part of that shape around ``centre``, resized to ``height``."""
    width_px = min(picture.width, picture.height * ratio)
    height_px = width_px / ratio
    left = min(max(centre[0] * picture.width - width_px / 2, 0), picture.width - width_px)
    top = min(max(centre[1] * picture.height - height_px / 2, 0), picture.height - height_px)
    box = (left, top, left + width_px, top + height_px)
    return picture.resize((round(height * ratio), height), Image.Resampling.LANCZOS, box=box)


def in_a_row(pictures: list[Image.Image]) -> Image.Image:
    """Pictures of one height side by side, with white between them."""
    width = sum(picture.width for picture in pictures) + GAP * (len(pictures) - 1)
    row = Image.new("RGB", (width, pictures[0].height), "white")
    left = 0
    for picture in pictures:
        row.paste(picture, (left, 0))
        left += picture.width + GAP
    return row


def strip(style: str | None, height: int = STRIP_HEIGHT) -> Image.Image:
    """The photos of :data:`STRIP` in one style, or as they are."""
    pictures = []
    for name, ratio, centre in STRIP:
        picture = photo(name) if style is None else stylizer(style)(photo(name))
        pictures.append(cut(picture, ratio, centre, height))
    return in_a_row(pictures)


def hero() -> Image.Image:
    """One photo in slanted slices, each in another style."""
    width, height = HERO_SIZE_WH
    whole = cut(photo("chelsea"), width / height, (0.5, 0.4), height)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    across = x + HERO_SLANT * (y / height - 0.5)
    result = np.asarray(whole).copy()
    for style, start in HERO[1:]:
        here = across >= start * width
        result[here] = np.asarray(stylizer(style)(whole))[here]
    for _, start in HERO[1:]:
        result[np.abs(across - start * width) < GAP / 2] = 255
    return Image.fromarray(result)


def controls() -> Image.Image:
    """What ``--strength`` and ``--keep-colors`` do."""
    _, ratio, centre = STRIP[0]
    results = [photo("coffee"), *(stylizer(style)(photo("coffee"), **options) for style, options in CONTROLS)]
    return in_a_row([cut(picture, ratio, centre, 160) for picture in results])


def main() -> None:
    """Write every picture."""
    pictures = {"hero": hero(), "photos": strip(None), "controls": controls()}
    pictures |= {
        style: strip(style, FAST_STRIP_HEIGHT if style.endswith("_fast") else STRIP_HEIGHT) for style in zoo.shipped()
    }
    FOLDER.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        frame: Frame = np.asarray(picture)
        save_picture(Picture(np.ascontiguousarray(frame)), FOLDER / f"{name}.jpg", quality=QUALITY)


if __name__ == "__main__":
    main()
