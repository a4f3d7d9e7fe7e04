"""Pictures of any mode to 8-bit RGB: depth, palettes, transparency and colour profiles."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms


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
    profile = image.info.get("icc_profile")
    profile = profile if isinstance(profile, bytes) else b""
    space = profile[16:20]
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


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits, 32 bits or float as 8 bits; Pillow's own conversion would clip at 255."""
    levels = np.nan_to_num(np.asarray(image).astype(np.float32))
    top = float(levels.max(initial=0.0))
    if image.mode == "F" and top <= 1.0:
        white = 1.0
    elif image.mode in ("F", "I") and top <= 255.0:
        white = 255.0
    else:
        white = 65535.0 if top <= 65535.0 else top
    return Image.fromarray((levels * (255.0 / white) + 0.5).clip(0, 255).astype(np.uint8))
