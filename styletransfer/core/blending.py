"""Mixing a stylized frame with the photo it came from: strength, and the photo's own colours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from styletransfer.core.errors import SettingsError

Frame = npt.NDArray[np.uint8]

# Rows worked on at once: a block's temporaries stay in the processor's cache, which halves the time.
_BLOCK_PIXELS = 65_536


def blend(frame_hwc: Frame, stylized_hwc: Frame, strength: float = 1.0, keep_colors: bool = False) -> Frame:
    """Mix ``stylized_hwc`` into ``frame_hwc``.

    With ``keep_colors`` the photo keeps its chroma (BT.601 YCbCr) and takes the stylized luminance only:
    the difference of the luminances is added to all three channels, which is the same and needs no
    conversion. Colours outside 0..255 are clipped.

    Args:
        frame_hwc: the photo, RGB uint8 ``[H, W, 3]``.
        stylized_hwc: the stylized photo, the same shape and type.
        strength: 0 gives the photo itself, 1 the stylized picture, between them a linear mix.
        keep_colors: take only the luminance from the stylized picture.

    Returns:
        RGB uint8 ``[H, W, 3]``. It may be one of the arguments itself where nothing has to be mixed.

    Raises:
        SettingsError: ``strength`` is outside 0..1.
        ValueError: the shapes differ or the type is not uint8.
    """
    if not 0.0 <= strength <= 1.0:  # also refuses NaN
        raise SettingsError(f"strength is {strength}; it must lie between 0 (the photo) and 1 (the style)")
    if frame_hwc.shape != stylized_hwc.shape or frame_hwc.dtype != stylized_hwc.dtype:
        raise ValueError(
            f"photo {frame_hwc.dtype}{list(frame_hwc.shape)} and stylized picture "
            f"{stylized_hwc.dtype}{list(stylized_hwc.shape)} differ"
        )
    if frame_hwc.dtype != np.uint8 or frame_hwc.ndim != 3 or frame_hwc.shape[2] != 3:
        raise ValueError(f"expected uint8 [H, W, 3], got {frame_hwc.dtype}{list(frame_hwc.shape)}")
    weight = round(strength * 256)
    if weight == 0:
        return frame_hwc
    if weight == 256 and not keep_colors:
        return stylized_hwc
    result = np.empty(frame_hwc.shape, np.uint8)
    mix = _mix_luminance if keep_colors else _mix
    rows = max(1, _BLOCK_PIXELS // max(1, frame_hwc.shape[1]))
    for top in range(0, frame_hwc.shape[0], rows):
        part = slice(top, top + rows)
        mix(frame_hwc[part], stylized_hwc[part], weight, result[part])
    return result


def overlay(below_hwc: Frame, above_hwc: Frame, mask_hw: Frame) -> Frame:
    """Lay one picture over another where a mask says so.

    Args:
        below_hwc: RGB uint8 ``[H, W, 3]``: what shows where the mask is 0.
        above_hwc: the same shape and type: what shows where the mask is 255.
        mask_hw: uint8 ``[H, W]``; between 0 and 255 a linear mix.

    Raises:
        ValueError: the shapes differ.
    """
    if below_hwc.shape != above_hwc.shape or mask_hw.shape != below_hwc.shape[:2]:
        raise ValueError(f"shapes differ: {below_hwc.shape}, {above_hwc.shape}, mask {mask_hw.shape}")
    result = np.empty(below_hwc.shape, np.uint8)
    weights = mask_hw.astype(np.uint16)
    weights += mask_hw >> 7  # 0..256, so that the division is a shift
    rows = max(1, _BLOCK_PIXELS // max(1, below_hwc.shape[1]))
    for top in range(0, below_hwc.shape[0], rows):
        part = slice(top, top + rows)
        weight = np.empty((*weights[part].shape, 3), np.uint16)
        for channel in range(3):  # as in _mix_luminance
            weight[..., channel] = weights[part]
        mixed = above_hwc[part] * weight
        np.subtract(np.uint16(256), weight, out=weight)
        mixed += below_hwc[part] * weight
        mixed += np.uint16(128)
        mixed >>= np.uint16(8)
        np.copyto(result[part], mixed, casting="unsafe")
    return result


def _mix(frame: Frame, stylized: Frame, weight: int, out: Frame) -> None:
    # 255 * 256 + 128 fits into 16 unsigned bits: two multiplications, no float.
    mixed = np.multiply(stylized, np.uint16(weight), dtype=np.uint16)
    mixed += np.multiply(frame, np.uint16(256 - weight), dtype=np.uint16)
    mixed += np.uint16(128)
    mixed >>= np.uint16(8)
    np.copyto(out, mixed, casting="unsafe")


def _mix_luminance(frame: Frame, stylized: Frame, weight: int, out: Frame) -> None:
    difference = np.subtract(_luma(stylized), _luma(frame), dtype=np.int16)
    if weight != 256:
        difference = ((difference * np.int32(weight) + np.int32(128)) >> np.int32(8)).astype(np.int16)
    moved = np.empty(frame.shape, np.int16)
    for channel in range(3):  # 2.5 times as fast as repeat, or as broadcasting along an axis of 3
        moved[..., channel] = difference
    moved += frame
    np.clip(moved, 0, 255, out=out, casting="unsafe")


def _luma(frame: Frame) -> Frame:
    # Pillow's own conversion is BT.601, in fixed point, and five times faster than numpy's strided sums.
    return np.asarray(Image.fromarray(frame).convert("L"))
