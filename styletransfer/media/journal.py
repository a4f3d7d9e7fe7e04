"""What a batch has done, beside its results: a killed run goes on where it was.

``<folder>/.styletransfer`` holds the journal (SQLite) and the finished segments of the clips in work. A result is
known by its *key*: everything that it depends on, as a hash. With another key the old work is not used.
"""

# Over 300 lines: one class, most of it SQL.

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from styletransfer.media import database
from styletransfer.media.segments import Segment, segment_path
from styletransfer.media.video import Mark

FOLDER = ".styletransfer"
"""Name of the hidden folder beside the results."""

_VERSION = 3
_TABLES = """
drop table if exists result; drop table if exists segment;
create table result (
    target text primary key, key text not null, source text not null, style text not null,
    status text not null check (status in ('open', 'stylized', 'done', 'failed')),
    frames integer, size_bytes integer,
    warnings text not null default '[]', error text not null default '', changed_s real not null);
create table segment (
    key text not null, number integer not null, first_frame integer not null, frames integer not null,
    pts_s text, checksum integer, is_clean integer, found_pts_s text, found_checksum integer,
    primary key (key, number));
"""


@dataclass(frozen=True)
class Kept:
    """A finished segment.

    Attributes:
        segment: its file and its place.
        mark: its last frame, by which the next segment finds its place; ``None`` in one that is not full.
        found: the last frame of the segment before as whoever made this one found it, where that was made
            elsewhere; ``None`` where there is nothing to compare.
    """

    segment: Segment
    mark: Mark | None
    found: Mark | None = None

    def follows(self, before: Kept) -> bool:
        """Whether it begins where, and with the pictures with which, the segment before it ended."""
        return is_same_frame(before.mark, self.found)


def is_same_frame(mark: Mark | None, found: Mark | None) -> bool:
    """Whether a mark is where and what a reader found that looked for it; also where none had to look."""
    if found is None:
        return True
    if mark is None or not mark.is_clean:
        return False
    return (mark.index, mark.pts_s, mark.checksum) == (found.index, found.pts_s, found.checksum)


@dataclass(frozen=True)
class Entry:
    """What the journal knows of one result.

    Attributes:
        target: the result's file.
        key: hash of what it depends on.
        status: ``open``, ``stylized`` (all segments are there), ``done`` or ``failed``.
        frames: frames of the whole clip; 0 before ``stylized``.
        warnings: about the clip, one sentence each.
    """

    target: Path
    key: str
    status: str
    frames: int
    warnings: tuple[str, ...]


def key_of(source: Path, parts: Mapping[str, Any]) -> str:
    """Hash of the clip (its path, size and time of change) and of everything else that the result depends on.

    Raises:
        OSError: the clip cannot be read.
    """
    state = source.stat()
    identity = {"source": str(source.resolve()), "size": state.st_size, "mtime_ns": state.st_mtime_ns, **parts}
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:32]


class Journal:
    """The journal of one folder of results: a context manager, and safe to use from several threads.

    Args:
        root: the folder of results; made if it is missing.
        is_kept: whether the journal stays when all is done, so that a later run knows finished results.

    Attributes:
        notes: what happened to an earlier journal, one sentence each.

    Raises:
        OutputError: another process works there, or the folder cannot be written.
    """

    def __init__(self, root: Path, is_kept: bool = True) -> None:
        self.root = root
        self.folder = root / FOLDER
        self.notes: list[str] = []
        self._is_kept = is_kept
        self._mutex = threading.RLock()
        with database.explained(root):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = database.lock(self.folder / "lock.sqlite", self.root)
            try:
                self._base, note = database.open_kept(self.folder / "journal.sqlite", _TABLES, _VERSION)
            except BaseException:
                self._lock.close()
                raise
        if note:
            self.notes.append(f"{note}, and every clip is done again")

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        """Close; remove what no clip in work needs, and everything where the journal is not to stay."""
        with self._mutex:
            with contextlib.suppress(sqlite3.Error, OSError):
                self._sweep()
            rows = 1
            with contextlib.suppress(sqlite3.Error):
                (rows,) = self._base.execute("select count(*) from result").fetchone()
            self._base.close()
            if not rows and not self._is_kept:
                shutil.rmtree(self.folder, ignore_errors=True)
            self._lock.close()
            if not rows and not self._is_kept:
                shutil.rmtree(self.folder, ignore_errors=True)  # Windows removes no open file

    def _sweep(self) -> None:
        """Remove the segments of keys that no unfinished result has."""
        rows = self._base.execute("select key from result where status != 'done'")
        wanted = {key for (key,) in rows}
        for folder in self.folder.iterdir():
            if folder.is_dir() and folder.name not in wanted:
                shutil.rmtree(folder, ignore_errors=True)
        for (key,) in self._base.execute("select distinct key from segment").fetchall():
            if key not in wanted:
                self._base.execute("delete from segment where key = ?", (key,))

    def entry(self, target: Path, key: str, source: Path, style: str, *, is_fresh: bool = False) -> Entry:
        """What is known of a result; anything else than this key is forgotten.

        Args:
            target: the result's file.
            key: from :func:`key_of`.
            source: the clip.
            style: the style's name.
            is_fresh: forget what is known.

        Raises:
            OutputError: the journal cannot be written.
        """
        name = self._name(target)
        with self._change() as base:
            row = base.execute(
                "select key, status, frames, warnings, size_bytes from result where target = ?", (name,)
            ).fetchone()
            if row is not None and row[0] == key and not is_fresh:
                _, status, frames, warnings, size_bytes = row
                if status == "done" and _size(target) != size_bytes:
                    status, frames = "open", None  # removed, or cut off by a power cut: made again
                if status == "failed":
                    status = "open" if frames is None else "stylized"
                base.execute(
                    "update result set status = ?, frames = ?, error = '' where target = ?",
                    (status, frames, name),
                )
                return Entry(target, key, status, frames or 0, tuple(json.loads(warnings)))
            base.execute("delete from segment where key = ?", (key,))
            columns = "target, key, source, style, status, changed_s"
            base.execute(
                f"insert or replace into result ({columns}) values (?,?,?,?,'open',?)",
                (name, key, _text(str(source)), _text(style), time.time()),
            )
        shutil.rmtree(self.segment_folder(key), ignore_errors=True)
        return Entry(target, key, "open", 0, ())

    def segment_folder(self, key: str) -> Path:
        """Where the segments of a result in work lie."""
        return self.folder / key

    def segments(self, key: str) -> list[Kept]:
        """The finished segments from the first on, without a gap and each a continuation of the one before."""
        kept: list[Kept] = []
        for one in self.all_segments(key):
            if one.segment.number != len(kept) or (kept and not one.follows(kept[-1])):
                break
            first = kept[-1].segment.last_frame + 1 if kept else 0
            if one.segment.first_frame != first:
                break
            kept.append(one)
        return kept

    def all_segments(self, key: str) -> list[Kept]:
        """All finished segments in order, those too that were made before their predecessors."""
        columns = "number, first_frame, frames, pts_s, checksum, is_clean, found_pts_s, found_checksum"
        with self._change() as base:
            rows = base.execute(f"select {columns} from segment where key = ? order by number", (key,)).fetchall()
        folder = self.segment_folder(key)
        found: list[Kept] = []
        for number, first, frames, pts_s, checksum, is_clean, found_pts_s, found_checksum in rows:
            segment = Segment(number, first, frames, segment_path(folder, number))
            mark = None if pts_s is None else Mark(segment.last_frame, Fraction(pts_s), checksum, bool(is_clean))
            before = None if found_pts_s is None else Mark(first - 1, Fraction(found_pts_s), found_checksum, True)
            found.append(Kept(segment, mark, before))
        return found

    def add_segment(self, entry: Entry, kept: Kept) -> None:
        """A segment's file is complete.

        Raises:
            OutputError: the journal cannot be written.
        """
        segment, mark, found = kept.segment, kept.mark, kept.found
        values: list[Any] = [entry.key, segment.number, segment.first_frame, segment.frames]
        values += [None] * 3 if mark is None else [str(mark.pts_s), mark.checksum, mark.is_clean]
        values += [None] * 2 if found is None else [str(found.pts_s), found.checksum]
        with self._change() as base:
            base.execute(f"insert or replace into segment values ({','.join('?' * len(values))})", values)
            self._update(base, entry.target)

    def drop_segments(self, key: str, from_number: int) -> None:
        """Forget the segments from a number on: they will be made again."""
        with self._change() as base:
            base.execute("delete from segment where key = ? and number >= ?", (key, from_number))
            base.execute("update result set status = 'open', frames = null where key = ?", (key,))

    def stylized(self, entry: Entry, frames: int, warnings: list[str]) -> None:
        """All segments of a result are there."""
        with self._change() as base:
            self._update(base, entry.target, status="stylized", frames=frames, warnings=json.dumps(warnings))

    def done(self, entry: Entry, frames: int, warnings: list[str]) -> None:
        """The result stands under its name; its segments are removed."""
        state = entry.target.stat()
        with self._change() as base:
            self._update(
                base,
                entry.target,
                status="done",
                frames=frames,
                warnings=json.dumps(warnings),
                size_bytes=state.st_size,
            )
            base.execute("delete from segment where key = ?", (entry.key,))
            if not self._is_kept:
                base.execute("delete from result where target = ?", (self._name(entry.target),))
        shutil.rmtree(self.segment_folder(entry.key), ignore_errors=True)

    def failed(self, target: Path, reason: str) -> None:
        """The result could not be made. Finished segments stay: the reason may be a full disk."""
        with self._change() as base:
            self._update(base, target, status="failed", error=_text(reason))

    def _update(self, base: sqlite3.Connection, target: Path, **columns: Any) -> None:
        names = "".join(f", {name} = ?" for name in columns)
        base.execute(
            f"update result set changed_s = ?{names} where target = ?",
            (time.time(), *columns.values(), self._name(target)),
        )

    def _name(self, target: Path) -> str:
        return _text(os.path.relpath(target, self.root))

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One change that is there as a whole or not at all, also after a power cut."""
        with self._mutex, database.explained(self.folder / "journal.sqlite"):
            self._base.execute("begin immediate")
            try:
                yield self._base
                self._base.execute("commit")
            except BaseException:
                if self._base.in_transaction:  # a full disk has ended it already
                    self._base.execute("rollback")
                raise


def _text(name: str) -> str:
    """A file name as SQLite takes it: bytes in it that are no characters as escapes."""
    return name.encode(errors="backslashreplace").decode()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
