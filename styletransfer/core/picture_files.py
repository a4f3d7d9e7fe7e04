"""A picture file's bytes, looked at before they are decoded: what is none, damaged or of no use is one clear line."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image

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
    if data[4:8] == b"ftyp" or data[:4] in (b"\x1aE\xdf\xa3", b"RIFF"):
        return "is no picture but looks like a video; use `styletransfer video`"
    return "is no picture that can be read (JPEG, PNG, WebP, TIFF, AVIF, BMP, GIF, ... are)"
