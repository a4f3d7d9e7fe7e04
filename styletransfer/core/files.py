"""Files that appear complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from styletransfer.core.errors import OutputError


def explain_os_error(error: OSError, path: Path) -> OutputError:
    """The one-line :class:`OutputError` for an ``OSError`` met while writing ``path``."""
    if error.errno == errno.ENOSPC:
        return OutputError(f"{path}: the disk is full; free some space and run the command again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{path}: no permission to write there; choose another output with -o")
    return OutputError(f"{path}: cannot be written ({error.strerror or error})")


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
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}.", suffix=f".part{path.suffix}", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise explain_os_error(error, path) from error
    temporary = Path(name)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp makes files private
        temporary.replace(path)
    except OSError as error:
        if error.filename not in (None, name, str(path)):
            raise
        raise explain_os_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left of ``path`` under temporary names; nobody else may be writing it."""
    if path.parent.is_dir():
        with contextlib.suppress(OSError):
            for left in path.parent.glob(f".{glob.escape(path.stem[:40])}.*.part{glob.escape(path.suffix)}"):
                left.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
