"""The file of votes: one line a vote, safe on the disk before the next pair is shown."""

from __future__ import annotations

import csv
import io
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from styletransfer.core.errors import InputError, OutputError
from styletransfer.core.files import explain_os_error

COLUMNS = ("observer", "session", "scene", "condition_A", "condition_B", "is_A_selected")
_YES_NO = {"1": True, "0": False, "true": True, "false": False}
_MISSING = {"", "nan"}  # what spreadsheets and pandas write for no value
_MAX_FILE_BYTES = 2**28


def is_missing(text: str) -> bool:
    """Whether a table's reader takes this for no value: nobody and nothing in a study may be called so."""
    return text.strip().lower() in _MISSING


@dataclass(frozen=True)
class Vote:
    """One line: of ``condition_a`` and ``condition_b`` in ``scene`` the observer chose A (or B)."""

    observer: str
    session: str
    scene: str
    condition_a: str
    condition_b: str
    is_a_selected: bool


def catch_path(votes: Path) -> Path:
    """Where the catch trials of ``votes`` are: ``votes.catch.csv`` beside ``votes.csv``, in the same columns."""
    return votes.with_name(f"{votes.stem}.catch{votes.suffix}")


def read_votes(path: Path) -> tuple[list[Vote], bool]:
    """All votes of a file, and whether its last line was cut short (a killed server) and is left out.

    Raises:
        InputError: no such file, not UTF-8, empty, other columns, or a line that is no vote (the first one is named).
    """
    return _parse(path, _read_text(path))


def _read_text(path: Path) -> str:
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a .csv file of votes")
    try:
        if path.is_file() and path.stat().st_size > _MAX_FILE_BYTES:
            raise InputError(f"{path}: is larger than {_MAX_FILE_BYTES:,} bytes, which no file of votes is")
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file of votes; `styletransfer study` makes one") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no CSV file of votes (not UTF-8 text)") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def _parse(path: Path, text: str) -> tuple[list[Vote], bool]:
    lines = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [name.strip() for name in next(lines, [])]
        _check_header(path, header)
        rows = [(lines.line_num, row) for row in lines if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InputError(f"{path}: line {lines.line_num} is no CSV ({error})") from error
    votes, problems = [], []
    for line, row in rows:
        problem = _problem(row, header)
        if problem:
            problems.append((line, problem))
        else:
            cells = dict(zip(header, (cell.strip() for cell in row), strict=True))
            observer, session, scene, first, second, selected = (cells[name] for name in COLUMNS)
            votes.append(Vote(observer, session, scene, first, second, _YES_NO[selected.lower()]))
    is_cut = not text.endswith("\n") and bool(problems) and problems[-1][0] == rows[-1][0]
    problems = problems[:-1] if is_cut else problems
    if problems:
        more = f" (and {len(problems) - 1} more such lines)" if len(problems) > 1 else ""
        raise InputError(f"{path}: line {problems[0][0]} {problems[0][1]}{more}")
    return votes, is_cut


def _check_header(path: Path, header: list[str]) -> None:
    if not any(header):
        raise InputError(f"{path}: is empty; the first line must be {','.join(COLUMNS)}")
    missing = [name for name in COLUMNS if name not in header]
    unknown = [name for name in header if name not in COLUMNS]
    if missing or unknown or len(header) != len(COLUMNS):
        wrong = [f"{', '.join(missing)} missing"] if missing else []
        wrong += [f"{', '.join(name or '(no name)' for name in unknown)} unknown"] if unknown else []
        wrong = wrong or ["a column stands there twice"]
        raise InputError(f"{path}: its columns are wrong ({'; '.join(wrong)}); needed: {','.join(COLUMNS)}")


def _problem(row: list[str], header: list[str]) -> str | None:
    """What is wrong with a line, as it completes "line 7 ..."; None if nothing is."""
    if len(row) != len(header):
        return f"has too {'few' if len(row) < len(header) else 'many'} values"
    cells = dict(zip(header, (cell.strip() for cell in row), strict=True))
    for name in ("observer", "scene", "condition_A", "condition_B"):
        if is_missing(cells[name]):
            return f"has no {name}"
    if cells["is_A_selected"].lower() not in _YES_NO:
        return f"has is_A_selected {cells['is_A_selected']!r}; allowed: 1 (A was chosen) or 0 (B was chosen)"
    if cells["condition_A"] == cells["condition_B"]:
        return f"compares {cells['condition_A']!r} with itself"
    return None


class VoteLog:
    """A file of votes that is appended to; what :meth:`append` has returned from survives a killed server.

    Args:
        path: made with its header where it does not exist; else it must be such a file, and is gone on with.

    Attributes:
        votes: all votes of the file.
        was_cut: its last line was cut short and has been removed.

    Raises:
        InputError: it exists and is no file of votes.
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.votes: list[Vote] = []
        self.was_cut = False
        self._lock = threading.Lock()
        if path.exists() and (path.is_dir() or path.stat().st_size):
            text = _read_text(path)
            self.votes, self.was_cut = _parse(path, text)
            self._mend(text)
        else:
            self._write([",".join(COLUMNS)])

    def append(self, vote: Vote) -> None:
        """Write one vote through to the disk.

        Raises:
            OutputError: it could not be written; the file is as it was before.
        """
        line = io.StringIO()
        names = (vote.observer, vote.session, vote.scene, vote.condition_a, vote.condition_b)
        csv.writer(line, lineterminator="").writerow((*names, int(vote.is_a_selected)))
        with self._lock:
            self._write([line.getvalue()])
            self.votes.append(vote)

    def _mend(self, text: str) -> None:
        """End the last line, or cut it off where a killed server left half of it."""
        if text.endswith("\n"):
            return
        if not self.was_cut:
            self._write([""])
            return
        try:
            data = self.path.read_bytes()
            os.truncate(self.path, data.rfind(b"\n") + 1)
        except OSError as error:
            raise explain_os_error(error, self.path) from error

    def _write(self, lines: Iterable[str]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                before = file.tell()
                left = "".join(f"{line}\n" for line in lines).encode()
                try:
                    while left:  # a disk that becomes full takes a part first
                        left = left[file.write(left) :]
                    os.fsync(file.fileno())
                except OSError:
                    os.truncate(self.path, before)
                    raise
        except OSError as error:
            raise explain_os_error(error, self.path) from error


def check_output(path: Path) -> None:
    """Raise an :class:`OutputError` for a name that cannot be a file of votes."""
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a .csv file with -o")
    if path.suffix.lower() != ".csv":
        raise OutputError(f"{path}: votes are written as .csv; end the name so")
