"""A folder of photos, as users have them."""

from __future__ import annotations

import os
from pathlib import Path

from styletransfer.core.errors import InputError
from styletransfer.core.files import unreadable_folder
from styletransfer.core.pictures import PICTURE_SUFFIXES


def find_photos(folder: Path) -> list[Path]:
    """Every picture file under ``folder``, recursively, in a fixed order.

    Raises:
        InputError: no such folder, no picture in it, or a folder below that cannot be looked into.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder of photos; `styletransfer photos` downloads 5,000, "
            "or give any folder with --photos"
        )
    found = sorted(
        Path(root) / name
        for root, _, names in os.walk(folder, onerror=_refuse)
        for name in names
        if Path(name).suffix.lower() in PICTURE_SUFFIXES and not name.startswith(".") and Path(root, name).is_file()
    )
    if not found:
        raise InputError(f"{folder}: no picture in it; a few hundred photos (JPEG, PNG, WebP) are needed")
    return found


def _refuse(error: OSError) -> None:
    raise unreadable_folder(error, "allow it, or move it elsewhere")
