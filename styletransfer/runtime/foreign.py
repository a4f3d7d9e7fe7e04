"""Networks made by others: float pixels, fixed sizes, outputs that are a little larger or smaller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from styletransfer.core.errors import ModelError
from styletransfer.core.pictures import resize_frame
from styletransfer.runtime.padding import pad_reflect, round_up

Frame = npt.NDArray[np.uint8]
Network = Callable[[Frame], Frame]

# Networks without padding inside lose up to 80 pixels (Johnson's residual blocks at a quarter of the size);
# one that enlarges or shrinks its picture on purpose is something else.
_MAY_LOSE = 96
_MAY_GAIN = 32
_MAY_VARY = 12
_MIN_SIDE = 64  # wide reflection pads inside the network fail on smaller pictures


def to_floats(frames_nhwc: Frame, dtype: type[Any]) -> npt.NDArray[Any]:
    """RGB uint8 ``[N, H, W, 3]`` as floats ``[N, 3, H, W]`` of 0..255."""
    return np.ascontiguousarray(frames_nhwc.transpose(0, 3, 1, 2), dtype=dtype)


def to_bytes(result_nchw: npt.NDArray[Any], frames_nhwc: Frame, path: Path) -> Frame:
    """Floats ``[N, 3, H, W]`` of 0..255, rounded and clipped, as RGB uint8 ``[N, H, W, 3]``.

    Raises:
        ModelError: not of that shape, NaN or infinite, or of another range than 0..255.
    """
    if result_nchw.ndim != 4 or result_nchw.shape[:2] != (len(frames_nhwc), 3):
        raise ModelError(f"{path}: gave an array of {list(result_nchw.shape)} instead of [N, 3, H, W]")
    low, high = float(result_nchw.min(initial=0)), float(result_nchw.max(initial=0))
    if not np.isfinite([low, high]).all():
        raise ModelError(
            f"{path}: the network gives NaN or infinite values, its numbers overflow: use its float32 "
            "version, or --provider cpu"
        )
    if low >= -1.0 and high <= 1.0 and frames_nhwc.max(initial=0) > 64:
        raise ModelError(
            f"{path}: gives values of {low:.2g}..{high:.2g}; only networks with pixels of 0..255 in and "
            "out are supported: put the scaling into the file"
        )
    levels = np.clip(result_nchw.transpose(0, 2, 3, 1), 0, 255, dtype=np.float32)
    return np.ascontiguousarray(np.rint(levels, out=levels).astype(np.uint8))


def run_free(frame_hwc: Frame, network: Network, multiple: int, margin: int, path: Path) -> tuple[Frame, int]:
    """Run a network of free size that may give a slightly different size than it takes.

    A larger output is cropped around its centre. A smaller one has lost its border: the picture is then
    given once more with a reflected margin that makes up for the loss.

    Args:
        frame_hwc: RGB uint8 ``[H, W, 3]``.
        network: RGB uint8 ``[1, H, W, 3]`` to ``[1, H', W', 3]``.
        multiple: height and width are padded to multiples of this.
        margin: pixels added on every side, 0 at first, afterwards what the last call returned.
        path: the file, for messages.

    Returns:
        The stylized frame, of the same size, and the margin that the network needs.

    Raises:
        ModelError: the output's size has nothing to do with the input's.
    """
    height, width = frame_hwc.shape[:2]
    before: list[int] = []
    for extra in (margin, None):
        margin = extra if extra is not None else margin
        full = [round_up(max(size + 2 * margin, _MIN_SIDE), multiple) for size in (height, width)]
        padded = pad_reflect(frame_hwc[None], full[0], full[1], margin, margin)
        result = network(padded)[0]
        lost = [full[axis] - result.shape[axis] for axis in (0, 1)]
        # A border that is lost is as wide on all sides, and of all sizes.
        if abs(lost[0] - lost[1]) > _MAY_VARY or abs(max(lost) - max(before or lost)) > _MAY_VARY:
            break
        before = lost
        if max(lost) > _MAY_LOSE or min(lost) < -_MAY_GAIN:
            break
        top, left = (margin - loss // 2 for loss in lost)
        bottom, right = top + height, left + width
        if top >= 0 and left >= 0 and bottom <= result.shape[0] and right <= result.shape[1]:
            return np.ascontiguousarray(result[top:bottom, left:right]), margin
        margin += round_up(max(*lost, 1), 4)
    raise _no_style(path, result, full)


def _no_style(path: Path, result_hwc: Frame, size_hw: Sequence[int]) -> ModelError:
    return ModelError(
        f"{path}: made {result_hwc.shape[1]}×{result_hwc.shape[0]} pixels of {size_hw[1]}×{size_hw[0]}; "
        "a style network keeps the size of its picture"
    )


def run_fixed(
    frame_hwc: Frame, network: Network, size_hw: tuple[int | None, int | None], multiple: int, path: Path
) -> Frame:
    """Run a network that takes one size only.

    The whole picture is resized to fit, with its proportions kept; what remains is filled by reflection,
    which cannot be told from more picture, and cut off again; the result is resized to the frame's size.
    Strokes grow with the enlargement. (Tiles would keep the sharpness and show their seams.)

    Args:
        frame_hwc: RGB uint8 ``[H, W, 3]``.
        network: RGB uint8 ``[1, H, W, 3]`` to nearly the same size.
        size_hw: the fixed height and width; one of the two may be None, which is free.
        multiple: a free side is padded to a multiple of this.
        path: the file, for messages.

    Raises:
        ModelError: the output's size has nothing to do with the input's.
    """
    size = frame_hwc.shape[:2]
    factor = min(fixed / have for fixed, have in zip(size_hw, size, strict=True) if fixed is not None)
    inner = [max(1, round(have * factor)) for have in size]
    full = [fixed or round_up(have, multiple) for fixed, have in zip(size_hw, inner, strict=True)]
    inner = [min(pair) for pair in zip(inner, full, strict=True)]
    top, left = ((whole - part) // 2 for whole, part in zip(full, inner, strict=True))
    small = resize_frame(frame_hwc, (inner[1], inner[0]))
    result = network(pad_reflect(small[None], full[0], full[1], top, left))[0]
    lost = [full[axis] - result.shape[axis] for axis in (0, 1)]
    if max(lost) > min(_MAY_LOSE, max(full) // 2) or min(lost) < -_MAY_GAIN:
        raise _no_style(path, result, full)
    result = resize_frame(result, (full[1], full[0]))
    cut = np.ascontiguousarray(result[top : top + inner[0], left : left + inner[1]])
    return resize_frame(cut, (size[1], size[0]))
