"""EXIF: the turn that it asks for, and what of it goes along with another picture."""

from __future__ import annotations

import contextlib

from PIL import Image

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EXIF, _GPS, _INTEROP = 0x8769, 0x8825, 0xA005  # folders behind a tag: the first directory's, and EXIF's own
# What a TIFF says of the picture rather than of its own storage: description, make, model, software, date, artist,
# host, copyright, EXIF and GPS folders, Windows' title to subject. The rest describes pixels that are gone.
_TIFF_KEEPS = {0x10E, 0x10F, 0x110, 0x131, 0x132, 0x13B, 0x13C, 0x8298, _EXIF, _GPS, *range(0x9C9B, 0x9CA0)}


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """What brings a picture upright; None where it is, or where its EXIF is damaged."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF is no reason to refuse the picture
        return None


def read_exif(image: Image.Image) -> bytes | None:
    """A file's EXIF block without the orientation, None where there is none; the image's own loses what is dropped."""
    try:
        exif = image.getexif()
        exif.pop(_ORIENTATION, None)
        if image.format == "TIFF":  # here the "EXIF" is the file's whole directory
            _keep_for_tiff(exif)
        return _to_bytes(exif)
    except Exception:  # as above
        return None


def exif_for_tiff(block: bytes) -> tuple[Image.Exif, bool]:
    """What a TIFF may say of an EXIF block, and whether it has folders (EXIF's own, GPS).

    The rest (a camera's width and height, ...) would overwrite what the TIFF says of its own pixels.
    """
    exif = Image.Exif()
    exif.load(block)
    _keep_for_tiff(exif)
    folder = exif.get_ifd(_EXIF)
    if _INTEROP in folder:  # Pillow would write where it lay in the block, not what it says
        folder[_INTEROP] = exif.get_ifd(_INTEROP)
    return exif, _EXIF in exif or _GPS in exif


def _keep_for_tiff(exif: Image.Exif) -> None:
    for tag in set(exif) - _TIFF_KEEPS:
        del exif[tag]


def _to_bytes(exif: Image.Exif) -> bytes | None:
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
