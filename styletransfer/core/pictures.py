"""Pictures in and out: any file that Pillow reads becomes RGB bytes, and goes back the way it came."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin

from styletransfer.core.colour import rgb_profile, to_rgb
from styletransfer.core.errors import InputError, OutputError
from styletransfer.core.exif import exif_for_tiff, read_exif, turn_of
from styletransfer.core.files import write_bytes
from styletransfer.core.picture_files import open_picture

Frame = npt.NDArray[np.uint8]

FORMATS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **{f".{name.lower()}": name for name in ("PNG", "WEBP", "BMP", "GIF", "AVIF", "PPM", "TGA")},
    ".jp2": "JPEG2000",
}
"""Suffix to Pillow's name of the format, of the files that are written."""

PICTURE_SUFFIXES: frozenset[str] = frozenset(FORMATS) | {".pgm", ".pbm", ".pnm", ".qoi", ".heic", ".heif"}
"""Lower-case suffixes by which a folder's pictures are found (a named file is read whatever its suffix)."""

WITH_ALPHA = frozenset({"PNG", "WEBP", "TIFF", "AVIF", "JPEG2000", "GIF", "TGA"})
"""Formats that keep transparency; in the others it is laid on white."""

_WITH_METADATA = {"JPEG", "PNG", "WEBP", "TIFF", "AVIF"}
_WITH_ICC = _WITH_METADATA | {"JPEG2000"}
_QUALITY = {"JPEG": 92, "WEBP": 90, "AVIF": 80}
_JPEG_SIDE = 65_500  # pixels, libjpeg's limit
# What goes along with the pixels, what a result would miss most first.
_EXTRAS = ("icc_profile", "dpi", "jpeg_qtables", "exif")


@dataclass(frozen=True)
class Picture:
    """A picture and what is needed to write it back as it came.

    Attributes:
        frame_hwc: RGB uint8 ``[H, W, 3]``, C-contiguous, upright (EXIF orientation applied).
        alpha_hw: opacity uint8 ``[H, W]``, or None where the file has none.
        icc_profile: colour profile of ``frame_hwc``; None means sRGB.
        exif: EXIF block without the orientation, which is applied already.
        format: Pillow's name of the file's format (``JPEG``, ``PNG``, ...).
        jpeg_qtables: quantisation tables of a colour JPEG, which say its quality exactly.
        jpeg_subsampling: chroma subsampling of a colour JPEG as Pillow counts it (0, 1 or 2).
        dpi: dots per inch, horizontal and vertical.
        has_more_frames: the file is an animation or has pages; ``frame_hwc`` is the first.
    """

    frame_hwc: Frame
    alpha_hw: Frame | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    format: str | None = None
    jpeg_qtables: dict[int, list[int]] | None = None
    jpeg_subsampling: int | None = None
    dpi: tuple[float, float] | None = None
    has_more_frames: bool = False


def load_picture(source: Path | BinaryIO, longest: int | None = None, name: str | None = None) -> Picture:
    """Read a picture of any mode as upright 8-bit RGB; the content decides the format, not the suffix.

    16-bit and float values are scaled to 8 bits; palettes, CMYK, Lab and grey become RGB, through the
    file's colour profile where it is not an RGB one. An animation gives its first frame.

    Args:
        source: a path, or a binary stream, which is read to its end.
        longest: resize to this many pixels along the longer side.
        name: what messages call the picture; by default the path.

    Raises:
        InputError: missing, empty, damaged, too large (``picture_files.MAX_PIXELS``) or no picture.
    """
    name = name or (str(source) if isinstance(source, Path) else "the stream")
    # Pillow warns of half its limit, and of odd metadata: neither is the user's business.
    with warnings.catch_warnings(action="ignore"), open_picture(source, name) as image:
        size_wh = None if longest is None else fit_size(image.size, longest)
        if longest is not None and image.format == "JPEG":
            image.draft(image.mode, (2 * longest, 2 * longest))  # decodes at a fraction of a huge size
        try:
            image.load()
            return _to_picture(image, size_wh)
        except MemoryError as error:
            raise InputError(f"{name}: {image.width}×{image.height} pixels do not fit in memory") from error
        except Exception as error:  # decoders meet damaged files with every kind of exception
            raise InputError(f"{name}: the picture is damaged or cut short ({error})") from error


def save_picture(
    picture: Picture, target: Path | BinaryIO, format: str | None = None, quality: int | None = None
) -> None:
    """Write a picture; a file appears complete or not at all.

    Colour profile, EXIF and resolution go along where the format takes them. A JPEG that came from a JPEG
    keeps its quantisation tables and chroma subsampling. Transparency is laid on white where the format
    has none (JPEG, BMP, PPM), and rounded to none or all in GIF.

    Args:
        picture: what to write.
        target: a path, or a writable binary stream.
        format: Pillow's name of the format; by default a path's suffix decides, else PNG.
        quality: 1..100 for JPEG, WebP and AVIF, instead of the source's or the default.

    Raises:
        OutputError: unknown suffix, no permission, full disk, or a size that the format cannot hold.
    """
    name = str(target) if isinstance(target, Path) else "the stream"
    if format is None:
        format = format_of(target) if isinstance(target, Path) else "PNG"
    data = _encode(picture, format, quality, name)
    if isinstance(target, Path):
        write_bytes(target, data)
    else:
        target.write(data)


def format_of(path: Path) -> str:
    """Pillow's name of the format that ``path``'s suffix asks for.

    Raises:
        OutputError: no picture format has this suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        known = ", ".join(sorted(FORMATS))
        raise OutputError(f"{path}: cannot write a {suffix or 'suffixless'} picture; end the name in {known}")
    return FORMATS[suffix]


def resize_frame(frame_hwc: Frame, size_wh: tuple[int, int]) -> Frame:
    """Resize RGB uint8 ``[H, W, 3]`` (or one channel, ``[H, W]``) to width and height with Lanczos.

    Shrinking is antialiased. The same size returns the array itself.
    """
    if (frame_hwc.shape[1], frame_hwc.shape[0]) == tuple(size_wh):
        return frame_hwc
    resized = Image.fromarray(frame_hwc).resize(size_wh, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.array(resized)


def fit_size(size_wh: tuple[int, int], longest: int) -> tuple[int, int]:
    """Width and height in the same proportions, the longer side ``longest`` pixels."""
    factor = longest / max(size_wh)
    return max(1, round(size_wh[0] * factor)), max(1, round(size_wh[1] * factor))


def _to_picture(image: Image.Image, size_wh: tuple[int, int] | None) -> Picture:
    turn = turn_of(image)
    rgb, alpha = to_rgb(image)
    planes = [rgb] if alpha is None else [rgb, alpha]
    if size_wh is not None:
        planes = [plane.resize(size_wh, Image.Resampling.LANCZOS, reducing_gap=3.0) for plane in planes]
    if turn is not None:
        planes = [plane.transpose(turn) for plane in planes]
    is_colour_jpeg = isinstance(image, JpegImagePlugin.JpegImageFile) and image.mode == "RGB"
    sampling = JpegImagePlugin.get_sampling(image) if is_colour_jpeg else -1
    return Picture(
        frame_hwc=np.array(planes[0]),
        alpha_hw=None if alpha is None else np.array(planes[1]),
        icc_profile=rgb_profile(image),
        exif=read_exif(image),
        format="JPEG" if image.format == "MPO" else image.format,
        jpeg_qtables=dict(image.quantization) if is_colour_jpeg else None,  # type: ignore[attr-defined]
        jpeg_subsampling=sampling if sampling >= 0 else None,
        dpi=_dpi(image),
        has_more_frames=_has_more_frames(image),
    )


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        x, y = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if all(math.isfinite(value) and 0 < value < 65536 for value in (x, y)) else None


def _has_more_frames(image: Image.Image) -> bool:
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # the frames behind the first one are damaged; the first one is read already
        return True


def _encode(picture: Picture, format: str, quality: int | None, name: str) -> bytes:
    image = Image.fromarray(picture.frame_hwc)
    if picture.alpha_hw is not None:
        alpha = picture.alpha_hw
        if format == "GIF":  # pixels are there or not; Pillow would make any opacity but 0 a full one
            alpha = np.where(alpha < 128, np.uint8(0), np.uint8(255))
        image.putalpha(Image.fromarray(alpha))
        if format not in WITH_ALPHA:
            white = Image.new("RGB", image.size, "white")
            white.paste(image, mask=image.getchannel("A"))
            image = white
    try:
        try:
            return _to_bytes(image, format, _options(picture, format, quality))
        except Exception:  # EXIF too long, tables that only a decoder accepts: the picture matters more
            return _with_what_fits(image, picture, format, quality)
    except Exception as error:
        size = f"{image.width}×{image.height}"
        raise OutputError(f"{name}: {size} cannot be written as {format} ({error}); choose .png or --size") from error


def _with_what_fits(image: Image.Image, picture: Picture, format: str, quality: int | None) -> bytes:
    """The picture with those of its extras that the format takes: one by one, the most important first."""
    kept = replace(picture, icc_profile=None, dpi=None, jpeg_qtables=None, exif=None)
    data = _to_bytes(image, format, _options(kept, format, quality))
    for extra in _EXTRAS:
        value = getattr(picture, extra)
        if value is not None:
            more = replace(kept, **{extra: value})
            with contextlib.suppress(Exception):
                data, kept = _to_bytes(image, format, _options(more, format, quality)), more
    return data


def _to_bytes(image: Image.Image, format: str, options: dict[str, Any]) -> bytes:
    if format == "JPEG" and max(image.size) > _JPEG_SIDE:  # libjpeg would print lines of its own
        raise ValueError(f"it ends at {_JPEG_SIDE:,} pixels a side")
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _options(picture: Picture, format: str, quality: int | None) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if format == "JPEG" and quality is None and picture.jpeg_qtables:
        options["qtables"] = picture.jpeg_qtables
        if picture.jpeg_subsampling is not None:
            options["subsampling"] = picture.jpeg_subsampling
    elif format in _QUALITY:
        options["quality"] = _QUALITY[format] if quality is None else quality
    if picture.icc_profile and format in _WITH_ICC:
        options["icc_profile"] = picture.icc_profile
    if format == "TIFF":
        exif, has_folders = exif_for_tiff(picture.exif) if picture.exif else (None, False)
        if exif:
            options["exif"] = exif
        if not has_folders:  # libtiff, which compresses, cannot write them
            options["compression"] = "tiff_adobe_deflate"
    elif picture.exif and format in _WITH_METADATA:
        options["exif"] = picture.exif
    if picture.dpi and format in {"JPEG", "PNG", "TIFF", "BMP"}:
        options["dpi"] = picture.dpi
    return options
