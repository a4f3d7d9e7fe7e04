"""Files that tasks on other machines read: where they lie if that is shared, else out of Ray's object store."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from styletransfer.core.errors import InputError
from styletransfer.core.files import atomic_path

_CHUNK = 64 << 20
"""Bytes an object: the store moves and spills it as a whole."""

_END = 1 << 20
_CACHE_BYTES = 20 << 30
"""What a machine keeps of other machines' clips, so that the segments of one clip fetch it once."""


class NotHereError(InputError):
    """A file that this machine does not see, and whose content was not sent along."""


@dataclass(frozen=True)
class SharedFile:
    """A file as tasks know it.

    Attributes:
        path: where it lies on the machine that shares it.
        size: in bytes.
        ends: SHA-256 of its size, its first and its last megabyte, by which another machine's file under the same
            path is known for the same.
        chunks: references to its content in the object store; empty where it was not uploaded.
    """

    path: Path
    size: int
    ends: str
    chunks: tuple[Any, ...] = ()

    def uploaded(self, put: Callable[[bytes], Any]) -> SharedFile:
        """The same with its content in the object store.

        Args:
            put: stores data and returns a reference to it.

        Raises:
            OSError: it cannot be read.
        """
        chunks = []
        with self.path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                chunks.append(put(chunk))
        return replace(self, chunks=tuple(chunks))

    def local(self) -> Path:
        """The file on this machine; called in a task.

        Raises:
            NotHereError: it is neither visible here nor uploaded.
            OSError: there is no room for it.
        """
        with contextlib.suppress(OSError):
            if self.path.stat().st_size == self.size and _ends(self.path) == self.ends:
                return self.path
        if not self.chunks:
            raise NotHereError(f"{self.path}: is not visible on this machine")
        kept = _cache() / f"{self.ends}{self.path.suffix}"
        if not kept.exists():
            self._fetch(kept)
        with contextlib.suppress(OSError):
            os.utime(kept)  # the longest unused file goes first
        return kept

    def _fetch(self, target: Path) -> None:
        import ray

        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_room(target.parent, self.size)
        with atomic_path(target) as temporary, temporary.open("wb") as file:
            for chunk in self.chunks:
                file.write(ray.get(chunk))


def share(path: Path) -> SharedFile:
    """A file of this machine, not uploaded.

    Raises:
        OSError: it cannot be read.
    """
    path = path.resolve()
    return SharedFile(path, path.stat().st_size, _ends(path))


def _ends(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest.update(f"{size} ".encode())
        for start in (0, max(0, size - _END)):
            file.seek(start)
            digest.update(file.read(_END))
    return digest.hexdigest()[:32]


def _cache() -> Path:
    user = getattr(os, "getuid", lambda: "")()
    return Path(tempfile.gettempdir()) / f"styletransfer-clips-{user}"


def _make_room(folder: Path, size: int) -> None:
    """Remove the longest unused files so that one more keeps within the limit."""
    files = sorted(_entries(folder), reverse=True)
    room = _CACHE_BYTES - size
    for _, length, path in files:
        room -= length
        if room < 0:
            with contextlib.suppress(OSError):  # in use, on Windows
                path.unlink(missing_ok=True)


def _entries(folder: Path) -> Iterator[tuple[float, int, Path]]:
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            state = path.stat()
            yield state.st_mtime, state.st_size, path
