"""A folder of photos, as users have them."""

from __future__ import annotations

import os
from pathlib import Path

from styletransfer.core.errors import InputError
from styletransfer.core.files import unreadable_folder
from styletransfer.core.pictures import PICTURE_SUFFIXES
from styletransfer.core.work import LOG_NAME, TRAINING_SUFFIX, curves_of, sheet_of


def find_photos(folder: Path) -> list[Path]:
    """Every picture file under ``folder``, recursively, in a fixed order, without what trainings made there.

    Raises:
        InputError: no such folder, no picture in it, or a folder below that cannot be looked into.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder of photos; `styletransfer photos` downloads 5,000, "
            "or give any folder with --photos"
        )
    found = []
    for root, folders, names in os.walk(folder, onerror=_refuse):
        trainings = {name for name in folders if _is_training(Path(root, name))}
        folders[:] = [name for name in folders if name not in trainings]
        made = {of(Path(name)).name for name in trainings for of in (sheet_of, curves_of)}
        found += [
            Path(root) / name
            for name in names
            if Path(name).suffix.lower() in PICTURE_SUFFIXES
            and not name.startswith(".")
            and name not in made
            and Path(root, name).is_file()
        ]
    if not found:
        raise InputError(
            f"{folder}: no picture in it; a few hundred photos (JPEG, PNG, WebP) are needed (links to folders are not "
            "followed)"
        )
    return sorted(found)


def _is_training(folder: Path) -> bool:
    return folder.suffix == TRAINING_SUFFIX and (folder / LOG_NAME).exists()


def _refuse(error: OSError) -> None:
    raise unreadable_folder(error, "allow it, or move it elsewhere")
