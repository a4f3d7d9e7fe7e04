"""A picture file's bytes, looked at before they are decoded: what is none, damaged or of no use is one clear line."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image, TiffImagePlugin

from styletransfer.core.errors import InputError

MAX_PIXELS = 178_956_970
"""Larger pictures are refused before they are decoded: Pillow's own limit against decompression bombs."""

MAX_BYTES = 2**31
"""Larger files are refused before they are read."""

# Pillow reads more than these, but through helpers (Ghostscript) or as small previews (icons, fonts).
_READABLE = {
    *("JPEG", "MPO", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "JPEG2000", "GIF", "BMP", "DIB"),
    *("PPM", "TGA", "QOI", "PCX", "SGI", "PSD", "ICO"),
}

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two are BigTIFF
_Tags = TiffImagePlugin.ImageFileDirectory_v2


@contextmanager
def open_picture(source: Path | BinaryIO, name: str) -> Iterator[Image.Image]:
    """A picture whose header is read and whose pixels are not yet.

    Args:
        source: a path, or a binary stream, which is read to its end.
        name: what messages call the picture.

    Raises:
        InputError: missing, empty, damaged, too large (``MAX_PIXELS``) or no picture.
    """
    data = _read(source, name)
    Image.init()
    formats = [readable for readable in Image.OPEN if readable in _READABLE]
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
    except Image.DecompressionBombError as error:
        raise InputError(f"{name}: more than {MAX_PIXELS:,} pixels; make it smaller first") from error
    except Exception as error:  # damaged headers raise everything from SyntaxError to struct.error
        raise InputError(f"{name}: {_no_picture(data)}") from error
    with image:
        if image.format == "PNG" and not _is_sound_png(data):
            raise InputError(f"{name}: the picture is damaged (the checksum of its pixels is wrong); fetch it again")
        if isinstance(image, TiffImagePlugin.TiffImageFile) and _is_misread(image):
            raise InputError(f"{name}: {_unsupported(image.tag_v2)}")
        yield image


def _read(source: Path | BinaryIO, name: str) -> bytes:
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
    return data


def _no_picture(data: bytes) -> str:
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return "HEIC pictures cannot be read here; convert it to JPEG or PNG first"
    if data[4:12] in (b"ftypavif", b"ftypavis") or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        return "the picture is damaged or cut short; fetch it again"
    if data[:4] in _TIFF_STARTS:
        tags = _read_whole_tiff(data)
        return "the picture is damaged or cut short; fetch it again" if tags is None else _unsupported(tags)
    if data[4:8] == b"ftyp" or data[:4] in (b"\x1aE\xdf\xa3", b"RIFF"):
        return "is no picture but looks like a video; use `styletransfer video`"
    return "is no picture that can be read (JPEG, PNG, WebP, TIFF, AVIF, BMP, GIF, ... are)"


def _is_sound_png(data: bytes) -> bool:
    """Whether the checksums of a PNG's pixels are right: Pillow does not look at them, and decodes into anything.

    A file that is cut short is left to the decoder, which says so.
    """
    view, at = memoryview(data), 8
    while at + 12 <= len(data) and (kind := data[at + 4 : at + 8]) != b"IEND":
        end = at + 8 + int.from_bytes(view[at : at + 4])
        is_whole = kind == b"IDAT" and end + 4 <= len(data)
        if is_whole and zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4]):
            return False
        at = end + 4
    return True


def _is_misread(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Whether Pillow takes the bytes of deeper planes for pixels of 8 bits, as it does where they are not packed."""
    tags = image.tag_v2
    are_planes = (
        tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2 and tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1) > 1
    )
    is_raw = bool(image.tile) and image.tile[0][0] == "raw"
    return are_planes and is_raw and set(tags.get(TiffImagePlugin.BITSPERSAMPLE, ())) != {8}


def _unsupported(tags: _Tags) -> str:
    bits = max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,)))
    channels = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)
    kind = {2: " signed", 3: " float"}.get(max(tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))), "")
    kind += ", planes apart" * (tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2)
    return f"TIFF of this kind ({channels} × {bits}-bit{kind}) is not supported; save it as PNG or 8-bit RGB TIFF first"


def _read_whole_tiff(data: bytes) -> _Tags | None:
    """The first directory of a TIFF that Pillow does not open; None where it, or pixels of it, are not all there."""
    try:
        file = io.BytesIO(data)
        tags = _Tags(file.read(16 if data[2:3] == b"+" or data[3:4] == b"+" else 8))
        file.seek(tags.next)
        tags.load(file)
        starts = tags.get(TiffImagePlugin.STRIPOFFSETS) or tags[TiffImagePlugin.TILEOFFSETS]
        sizes = tags.get(TiffImagePlugin.STRIPBYTECOUNTS) or tags[TiffImagePlugin.TILEBYTECOUNTS]
        _unsupported(tags)
        is_whole = all(start + size <= len(data) for start, size in zip(starts, sizes, strict=True))
        return tags if is_whole and tags[TiffImagePlugin.IMAGEWIDTH] * tags[TiffImagePlugin.IMAGELENGTH] else None
    except Exception:  # a damaged directory raises everything, as above
        return None
