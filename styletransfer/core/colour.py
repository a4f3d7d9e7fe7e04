"""Colours: pictures of any mode to 8-bit RGB (depth, palettes, transparency, profiles), and RGB to CIELAB."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

_LUMA = np.array([0.299, 0.587, 0.114])
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_EPSILON, _KAPPA = 216 / 24389, 24389 / 27  # CIE 15:2004

_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of a TIFF
_WHITE_IS_ZERO, _UNSIGNED = 0, 1


def to_rgb(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """A loaded picture of any mode as 8-bit ``RGB``, and its opacity as ``L`` where it has one.

    16-bit, 32-bit and float greys are scaled, not clipped. CMYK and grey pictures that carry a profile of
    their own colour space go through it to sRGB; without one Pillow's plain conversion is used.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image).convert("RGB"), None
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("L", "LA", "1") else "RGBA")
        alpha = image.getchannel("A")
    profile, space = _profile(image)
    opaque = image.convert(image.mode[:-1]) if alpha is not None else image
    if (opaque.mode, space) in (("CMYK", b"CMYK"), ("L", b"GRAY")):
        # Such a profile must not be attached to RGB: the colours are taken through it instead.
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            managed = ImageCms.profileToProfile(opaque, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            return managed or opaque.convert("RGB"), alpha
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
            pass  # a damaged profile: the plain conversion below is what viewers do
    return opaque.convert("RGB"), alpha


def rgb_profile(image: Image.Image) -> bytes | None:
    """The colour profile that still holds of what :func:`to_rgb` makes; None where there is none, or none of RGB."""
    profile, space = _profile(image)
    return profile if space == b"RGB " else None


def _profile(image: Image.Image) -> tuple[bytes, bytes]:
    """A picture's colour profile and the colour space that it names, both empty where there is none."""
    profile = image.info.get("icc_profile")
    profile = profile if isinstance(profile, bytes) else b""
    return profile, profile[16:20]


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits, 32 bits or float as 8 bits; Pillow's own conversion would clip at 255."""
    tags = getattr(image, "tag_v2", {})  # of a TIFF, whose numbers Pillow gives as they are
    stored = np.asarray(image)
    if image.mode == "I" and tags.get(_BITS) == (32,) and tags.get(_SAMPLE_FORMAT, (_UNSIGNED,)) == (_UNSIGNED,):
        stored = stored.view(np.uint32)
    levels = np.nan_to_num(stored.astype(np.float32))
    top = float(levels.max(initial=0.0))
    if image.mode == "F" and top <= 1.0:
        white = 1.0
    elif image.mode in ("F", "I") and top <= 255.0:
        white = 255.0
    elif image.mode.startswith("I;16") and tags.get(_BITS) == (12,):
        white = 4095.0
    else:
        white = 65535.0 if top <= 65535.0 else top
    grey = (levels * (255.0 / white) + 0.5).clip(0, 255).astype(np.uint8)
    return Image.fromarray(255 - grey if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else grey)


def luminance(frame_hwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Rec. 601 luminance, float64 ``[H, W]`` in grey levels 0..255, of an RGB uint8 ``[H, W, 3]``."""
    weighted: npt.NDArray[np.float64] = frame_hwc.astype(np.float64) @ _LUMA
    return weighted


def to_lab(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """CIELAB (D65) of sRGB uint8 ``[..., 3]``: L 0..100, a and b about ±128; distances are ΔE (1976)."""
    levels = np.arange(256) / 255  # IEC 61966-2-1, for each of the 256 levels
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)[pixels]
    ratio = linear @ (_XYZ / _XYZ.sum(axis=1, keepdims=True)).T  # to the white point, which is R = G = B = 1
    f = np.where(ratio > _EPSILON, np.cbrt(ratio), (_KAPPA * ratio + 16) / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
