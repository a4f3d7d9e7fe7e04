"""Pictures in and out: any file that Pillow reads becomes RGB bytes, and goes back the way it came."""

# A few lines over 300: reading and writing share what a Picture keeps, and read better side by side.

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin

from styletransfer.core.colour import to_rgb
from styletransfer.core.errors import InputError, OutputError
from styletransfer.core.files import write_bytes

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

MAX_PIXELS = 178_956_970
"""Larger pictures are refused before they are decoded: Pillow's own limit against decompression bombs."""

MAX_BYTES = 2**31
"""Larger files are refused before they are read."""

# Pillow reads more than these, but through helpers (Ghostscript) or as small previews (icons, fonts).
_READABLE = {*FORMATS.values(), "MPO", "DIB", "QOI", "PCX", "SGI", "PSD", "ICO", "HEIF"}
_WITH_METADATA = {"JPEG", "PNG", "WEBP", "TIFF", "AVIF"}
_WITH_ICC = _WITH_METADATA | {"JPEG2000"}
_QUALITY = {"JPEG": 92, "WEBP": 90, "AVIF": 80}
_ORIENTATION = 0x0112
# What a TIFF says of the picture rather than of its own storage: description, make, model, software, date, artist,
# host, copyright, EXIF and GPS folders, Windows' title to subject. The rest describes pixels that are gone.
_TIFF_KEEPS = {0x10E, 0x10F, 0x110, 0x131, 0x132, 0x13B, 0x13C, 0x8298, 0x8769, 0x8825, *range(0x9C9B, 0x9CA0)}
_JPEG_SIDE = 65_500  # pixels, libjpeg's limit
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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
        InputError: missing, empty, damaged, too large (``MAX_PIXELS``) or no picture.
    """
    name = name or (str(source) if isinstance(source, Path) else "the stream")
    # Pillow warns of half its limit, and of odd metadata: neither is the user's business.
    with warnings.catch_warnings(action="ignore"), _open(source, name) as image:
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
    has none (JPEG, BMP, PPM).

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


@contextmanager
def _open(source: Path | BinaryIO, name: str) -> Iterator[Image.Image]:
    if isinstance(source, Path) and source.is_dir():
        raise InputError(f"{name}: is a folder, a picture file is needed")
    if isinstance(source, Path) and (source.is_char_device() or source.is_block_device()):
        raise InputError(f"{name}: is a device, a picture file is needed")
    try:
        if isinstance(source, Path) and source.exists() and source.stat().st_size > MAX_BYTES:
            raise InputError(f"{name}: is larger than {MAX_BYTES:,} bytes, which no picture read here is")
        data = source.read_bytes() if isinstance(source, Path) else source.read()
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file") from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror or error})") from error
    if not data:
        raise InputError(f"{name}: the file is empty")
    Image.init()
    formats = [readable for readable in Image.OPEN if readable in _READABLE]
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
    except Image.DecompressionBombError as error:
        raise InputError(f"{name}: more than {MAX_PIXELS:,} pixels; make it smaller first") from error
    except Exception as error:  # as above: damaged headers raise everything from SyntaxError to struct.error
        raise InputError(f"{name}: {_no_picture(data)}") from error
    with image:
        yield image


def _no_picture(data: bytes) -> str:
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return "HEIC pictures cannot be read here; convert it to JPEG or PNG first"
    if data[4:12] in (b"ftypavif", b"ftypavis") or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        return "the picture is damaged or cut short; fetch it again"
    if data[4:8] == b"ftyp" or data[:4] in (b"\x1aE\xdf\xa3", b"RIFF"):
        return "is no picture but looks like a video; use `styletransfer video`"
    return "is no picture that can be read (JPEG, PNG, WebP, TIFF, AVIF, BMP, GIF, ... are)"


def _to_picture(image: Image.Image, size_wh: tuple[int, int] | None) -> Picture:
    exif, turn = _exif(image)
    rgb, alpha = to_rgb(image)
    planes = [rgb] if alpha is None else [rgb, alpha]
    if size_wh is not None:
        planes = [plane.resize(size_wh, Image.Resampling.LANCZOS, reducing_gap=3.0) for plane in planes]
    if turn is not None:
        planes = [plane.transpose(turn) for plane in planes]
    profile = image.info.get("icc_profile")
    is_rgb_profile = isinstance(profile, bytes) and profile[16:20] == b"RGB "
    is_colour_jpeg = isinstance(image, JpegImagePlugin.JpegImageFile) and image.mode == "RGB"
    sampling = JpegImagePlugin.get_sampling(image) if is_colour_jpeg else -1
    return Picture(
        frame_hwc=np.array(planes[0]),
        alpha_hw=None if alpha is None else np.array(planes[1]),
        icc_profile=profile if is_rgb_profile else None,
        exif=exif,
        format="JPEG" if image.format == "MPO" else image.format,
        jpeg_qtables=dict(image.quantization) if is_colour_jpeg else None,  # type: ignore[attr-defined]
        jpeg_subsampling=sampling if sampling >= 0 else None,
        dpi=_dpi(image),
        has_more_frames=_has_more_frames(image),
    )


def _exif(image: Image.Image) -> tuple[bytes | None, Image.Transpose | None]:
    turn = None
    try:
        exif = image.getexif()
        turn = _TURNS.get(exif.pop(_ORIENTATION, 1))
        if image.format == "TIFF":  # here the "EXIF" is the file's whole directory
            for tag in set(exif) - _TIFF_KEEPS:
                del exif[tag]
        return _exif_bytes(exif), turn
    except Exception:  # damaged EXIF is no reason to refuse the picture
        return None, turn


def _exif_bytes(exif: Image.Exif) -> bytes | None:
    """All that can be written of it: a tag of an odd type is left out, the others stay."""
    with contextlib.suppress(Exception):
        return exif.tobytes() if len(exif) else None
    tags = dict(exif)
    exif.clear()
    for tag, value in tags.items():
        exif[tag] = value
        try:
            exif.tobytes()
        except Exception:
            del exif[tag]
    return exif.tobytes() if len(exif) else None


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
        image.putalpha(Image.fromarray(picture.alpha_hw))
        if format not in WITH_ALPHA:
            white = Image.new("RGB", image.size, "white")
            white.paste(image, mask=image.getchannel("A"))
            image = white
    try:
        try:
            return _to_bytes(image, format, _options(picture, format, quality))
        except (OSError, ValueError):
            # EXIF too long, tables that only a decoder accepts: the picture matters more.
            plain = replace(picture, exif=None, jpeg_qtables=None, icc_profile=None, dpi=None)
            return _to_bytes(image, format, _options(plain, format, quality))
    except Exception as error:
        size = f"{image.width}×{image.height}"
        raise OutputError(f"{name}: {size} cannot be written as {format} ({error}); choose .png or --size") from error


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
    if format == "TIFF":
        options["compression"] = "tiff_adobe_deflate"
    if picture.icc_profile and format in _WITH_ICC:
        options["icc_profile"] = picture.icc_profile
    if picture.exif and format in _WITH_METADATA:
        options["exif"] = picture.exif
    if picture.dpi and format in {"JPEG", "PNG", "TIFF", "BMP"}:
        options["dpi"] = picture.dpi
    return options
