"""Square pictures of one size, cut out of the middle of photos: what styles are compared on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from styletransfer.core.errors import InputError
from styletransfer.core.pictures import load_picture

Frame = NDArray[np.uint8]


def middle_square(frame_hwc: Frame, side: int) -> Frame:
    """The middle of a photo, its shorter side scaled to ``side``: RGB uint8 ``[side, side, 3]``."""
    image = Image.fromarray(frame_hwc)
    scale = side / min(image.size)
    width, height = (max(side, round(length * scale)) for length in image.size)
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - side) // 2, (height - side) // 2
    return np.array(resized.crop((left, top, left + side, top + side)))


def load_squares(
    paths: Sequence[Path], folder: Path, count: int, side: int, on_skipped: Callable[[str], None]
) -> dict[str, Frame]:
    """The middles of ``count`` photos, spread evenly over the list; an unreadable one is replaced by another.

    Args:
        paths: the photos, below ``folder``.
        folder: that their names leave out.
        count: how many; fewer where there are not so many.
        side: in pixels.
        on_skipped: called with the reason why a photo cannot be read.

    Returns:
        Name to RGB uint8 ``[side, side, 3]``.

    Raises:
        InputError: none of the photos can be read.
    """
    count = min(count, len(paths))
    chosen = dict.fromkeys(index * len(paths) // count for index in range(count))
    squares: dict[str, Frame] = {}
    for index in [*chosen, *(other for other in range(len(paths)) if other not in chosen)]:
        if len(squares) == count:
            break
        try:
            squares[paths[index].relative_to(folder).as_posix()] = middle_square(
                load_picture(paths[index]).frame_hwc, side
            )
        except InputError as error:
            on_skipped(str(error))
    if not squares:
        raise InputError(f"{folder}: none of its {len(paths)} pictures can be read")
    return squares
