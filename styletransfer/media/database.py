"""SQLite as a file that survives what happens to it: locked, damaged, of another version."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from styletransfer.core.errors import OutputError
from styletransfer.core.files import explain_os_error


def lock(path: Path, folder: Path, otherwise: str = "another folder with -o") -> sqlite3.Connection:
    """Take a lock that holds until the connection is closed or the process dies, however it dies.

    It is a transaction of a database of its own: the one lock in the standard library that every system has.

    Args:
        path: the database.
        folder: what is locked, in the message.
        otherwise: what to choose in its place, in the message.

    Raises:
        OutputError: another process has it.
        sqlite3.Error: the file cannot be written.
    """
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("begin exclusive")
    except sqlite3.OperationalError as error:
        connection.close()
        if "lock" not in str(error):
            raise
        raise OutputError(
            f"{folder}: another run is at work there; wait until it is done, or choose {otherwise}"
        ) from error
    except sqlite3.DatabaseError:  # no database any more: its content does not matter
        connection.close()
        path.unlink(missing_ok=True)
        return lock(path, folder, otherwise)
    return connection


def open_kept(path: Path, tables: str, version: int) -> tuple[sqlite3.Connection, str]:
    """Open a database, or make a new one where there is none that can be used.

    Args:
        path: the file.
        tables: SQL that makes the tables, and says so with ``if exists`` where it drops old ones.
        version: of the tables; a database of another version is made anew.

    Returns:
        The connection, and a sentence about a damaged file that was set aside (empty where there was none).

    Raises:
        sqlite3.Error: the file cannot be written.
    """
    try:
        return _connect(path, tables, version), ""
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        aside = path.with_name(f"{path.stem}-damaged-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
        path.replace(aside)
        return _connect(path, tables, version), f"{path}: is damaged; it was set aside as {aside.name}"


def _connect(path: Path, tables: str, version: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("pragma synchronous = full")
        if connection.execute("pragma user_version").fetchone()[0] != version:
            connection.executescript(f"begin; {tables} pragma user_version = {version}; commit;")
        connection.execute("select count(*) from sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and the system into one line.

    Raises:
        OutputError: instead of them.
    """
    try:
        yield
    except sqlite3.Error as error:
        if "full" in str(error):
            raise OutputError(f"{path}: the disk is full; free some space and run the command again") from error
        raise OutputError(f"{path}: the journal cannot be written ({error})") from error
    except OSError as error:
        raise explain_os_error(error, path) from error
