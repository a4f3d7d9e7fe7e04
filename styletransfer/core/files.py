"""Files that appear complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from styletransfer.core.errors import InputError, OutputError

_STEM = 40  # characters of a name that its temporary name keeps
_TEMPORARY = re.compile(r"\.(?P<stem>.+)\.[a-z0-9_]{8}\.part(?P<suffix>|\.[^.]*)", re.DOTALL)  # eight are mkstemp's


def explain_os_error(error: OSError, path: Path) -> OutputError:
    """The one-line :class:`OutputError` for an ``OSError`` met while writing ``path``."""
    if error.errno == errno.ENOSPC:
        return OutputError(f"{path}: the disk is full; free some space and run the command again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{path}: no permission to read or write there; choose another file, or another -o")
    return OutputError(f"{path}: cannot be written ({error.strerror or error})")


def full_disk(error: Exception) -> OSError:
    """What a library that writes files by itself makes of a full disk, as the ``OSError`` that it was."""
    text = str(error)
    is_full = any(words in text for words in ("No space left", "os error 28", "file write failed"))
    return OSError(errno.ENOSPC, text) if is_full else OSError(text)


def unreadable_folder(error: OSError, advice: str = "nothing in it is used") -> InputError:
    """What is said of a folder below another one that cannot be looked into."""
    return InputError(f"{error.filename}: the folder cannot be read ({error.strerror or error}); {advice}")


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is renamed onto ``path``, else removed.

    The temporary name keeps the suffix, so that writers which look at it choose the same format.
    Missing parent folders are created.

    Raises:
        OutputError: the folder or the file cannot be written (permission, full disk).
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:_STEM]}.", suffix=f".part{path.suffix}", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise explain_os_error(error, path) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files private
        temporary.replace(path)
    except OSError as error:
        if error.filename not in (None, name, str(path)):
            raise
        raise explain_os_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def real_path(path: Path) -> Path:
    """The absolute path without links; unlike ``Path.resolve`` (before Python 3.13) it takes links in a circle."""
    return Path(os.path.realpath(path))


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove what killed processes left of these under temporary names; nobody may be writing one of them."""
    folders: dict[Path, set[tuple[str, str]]] = {}
    for path in paths:
        folders.setdefault(path.parent, set()).add((path.stem[:_STEM], path.suffix))
    for folder, known in folders.items():
        with contextlib.suppress(OSError):
            for left in folder.iterdir():
                match = _TEMPORARY.fullmatch(left.name)
                if match is not None and (match["stem"], match["suffix"]) in known:
                    left.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


@functools.cache
def _umask() -> int:
    """The process's mask, read once: it can only be read by setting it, which the files of other threads would see."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
