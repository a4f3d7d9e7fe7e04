"""The CSV file of ``styletransfer evaluate-restore``; :mod:`styletransfer.core.restoration` says what a row is."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from styletransfer.core.errors import InputError
from styletransfer.core.files import write_bytes
from styletransfer.core.restoration import COLUMNS, METRICS, Row


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write all rows; columns are :data:`COLUMNS` and the metrics that any row has.

    Raises:
        OutputError: the file cannot be written.
    """
    metrics = columns(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, *metrics], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def columns(rows: Sequence[Row]) -> list[str]:
    """The metrics that any row has."""
    return [name for name in METRICS if any(name in row for row in rows)]


def read_rows(path: Path) -> list[Row]:
    """The rows of a file that :func:`write_rows` wrote; columns of other names are ignored.

    Raises:
        InputError: no such file, or it is another one; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # a spreadsheet may have put a mark before it
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a CSV file ({error})") from error
    reader = csv.DictReader(io.StringIO(text))
    metrics = [name for name in METRICS if name in (reader.fieldnames or ())]
    if not metrics or not set(COLUMNS) <= set(reader.fieldnames or ()):
        raise InputError(f"{path}: is no file that `evaluate-restore --csv` wrote; columns {', '.join(COLUMNS)} needed")
    rows = []
    try:
        for line in reader:
            row: Row = {name: line[name] or "" for name in COLUMNS}
            row |= {name: _number(line[name]) for name in metrics if line[name]}
            rows.append(row)
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path}: line {reader.line_num} is damaged ({error})") from error
    if not rows:
        raise InputError(f"{path}: has no rows")
    return rows


def merge_rows(files: Sequence[tuple[str, Sequence[Row]]]) -> list[Row]:
    """The rows of several files; what two files have alike, as a baseline, stays once.

    A model that another file measured to different figures keeps both, the later one as ``model (file)``.

    Args:
        files: name of the file and its rows, each.
    """
    merged: dict[tuple[str, ...], Row] = {}
    for name, rows in files:
        differing = {row["model"] for row in rows if merged.get(_key(row), row) != row}
        for row in rows:
            kept = {**row, "model": f"{row['model']} ({name})"} if row["model"] in differing else row
            merged[_key(kept)] = kept
    return list(merged.values())


def _key(row: Row) -> tuple[str, ...]:
    return row["set"], row["degradation"], row["photo"], row["model"]


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number
