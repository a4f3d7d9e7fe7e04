"""Pictures out of a zip archive from somewhere on the internet, without trusting it."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from styletransfer.core.errors import InputError, OutputError
from styletransfer.core.files import atomic_path

MAX_PICTURE_BYTES = 128 * 1024**2
"""A larger member is no photo; it is left out."""

_SPARE_BYTES = 256 * 1024**2  # stay clear of a disk that is full to the last byte
_MAX_PATH_BYTES = 1000
_MAX_NAME_BYTES = 200
_ENCRYPTED = 0x1


@dataclass
class Unpacked:
    """What became of an archive's members.

    Attributes:
        pictures: pictures in the archive, as ``/``-separated paths relative to the folder.
        written: number of them written now.
        present: number of them that were there already, and were left alone.
        beyond_limit: number of them left out because of the limit.
        damaged: names of members whose bytes are damaged.
        refused: names of members left out for safety: outside the folder, links, too large.
    """

    pictures: list[str]
    written: int
    present: int
    beyond_limit: int
    damaged: list[str]
    refused: list[str]


def unpack_pictures(
    archive: Path,
    folder: Path,
    suffixes: Collection[str],
    limit: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Unpacked:
    """Write the pictures of a zip archive below ``folder``; everything else in it is left alone.

    Absolute names, names with ``..``, links, hidden files and members above ``MAX_PICTURE_BYTES``
    are not written, and nothing is written at all where the disk could not hold it. Files that exist
    are never overwritten.

    Args:
        archive: the zip file.
        folder: where the pictures go; created where missing.
        suffixes: lower-case suffixes of pictures, with the dot.
        limit: take the first ``limit`` pictures, in the order of their names.
        on_progress: called with (pictures done, pictures to do).

    Raises:
        InputError: no zip archive, a damaged or an encrypted one, or one without pictures.
        OutputError: the folder cannot be written, or the disk is too full.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members, refused = _pictures(opened, suffixes)
            chosen = members if limit is None else members[:limit]
            if not chosen:
                raise InputError(f"{archive}: there is no picture in this archive; give another one")
            result = Unpacked([name for name, _ in chosen], 0, 0, len(members) - len(chosen), [], refused)
            missing = [(name, info) for name, info in chosen if not (folder / name).exists()]
            result.present = len(chosen) - len(missing)
            _check_space(folder, sum(info.file_size for _, info in missing))
            for done, (name, info) in enumerate(missing):
                if on_progress is not None:
                    on_progress(result.present + done, len(chosen))
                if _write(opened, info, folder / name):
                    result.written += 1
                else:
                    result.damaged.append(name)
            if on_progress is not None:
                on_progress(len(chosen), len(chosen))
            return result
    except FileNotFoundError as error:
        raise InputError(f"{archive}: there is no such file") from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError) as error:
        raise InputError(
            f"{archive}: no zip archive, or a damaged one ({error}); check the address, download it again"
        ) from error


def _pictures(
    opened: zipfile.ZipFile, suffixes: Collection[str]
) -> tuple[list[tuple[str, zipfile.ZipInfo]], list[str]]:
    """Members that are pictures under their safe relative names, and names of refused ones."""
    pictures: dict[str, zipfile.ZipInfo] = {}
    refused = []
    for info in opened.infolist():
        path = PurePosixPath(info.filename.replace("\\", "/"))
        hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in path.parts)
        if info.is_dir() or hidden or path.suffix.lower() not in suffixes:
            continue
        if info.flag_bits & _ENCRYPTED:
            raise InputError(
                f"{opened.filename}: the archive is encrypted; unpack it yourself and give train the folder"
            )
        if _is_safe(path, info):
            pictures[path.as_posix()] = info
        else:
            refused.append(info.filename)
    for name in list(pictures):  # a picture cannot be a folder, too
        if any(parent.as_posix() in pictures for parent in PurePosixPath(name).parents):
            refused.append(name)
            del pictures[name]
    return sorted(pictures.items()), refused


def _is_safe(path: PurePosixPath, info: zipfile.ZipInfo) -> bool:
    # Unix file type of the member; 0 where the archive was made elsewhere.
    kind = stat.S_IFMT(info.external_attr >> 16)
    return (
        not path.is_absolute()
        and all(part != ".." and ":" not in part for part in path.parts)
        and all(len(part.encode(errors="replace")) <= _MAX_NAME_BYTES for part in path.parts)
        and len(path.as_posix().encode(errors="replace")) <= _MAX_PATH_BYTES
        and kind in (0, stat.S_IFREG)
        and info.file_size <= MAX_PICTURE_BYTES
    )


def _check_space(folder: Path, needed: int) -> None:
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if needed + _SPARE_BYTES > free:
        raise OutputError(
            f"{folder}: the pictures take {needed / 1e6:,.0f} MB unpacked, {free / 1e6:,.0f} MB are free; "
            "free some space, choose another folder with --out, or fewer pictures with --limit"
        )


def _write(opened: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> bool:
    """Write one member; False where its bytes are damaged or packed in a way unknown here."""
    # zipfile reads no more than the declared size and checks the CRC at the end.
    try:
        data = opened.read(info)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError):
        return False
    except OSError:  # bz2 says so of damaged data; of the disk it would come again below
        return False
    if any(parent.is_file() for parent in target.parents):  # an earlier archive's picture is where a folder should be
        return False
    with atomic_path(target) as temporary:
        temporary.write_bytes(data)
    return True
