"""Files for figures, plots and recordings beside the results: what cannot be written is said before the work."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path

from styletransfer.cli.targets import STREAM, Taken
from styletransfer.core.errors import MissingExtraError, OutputError
from styletransfer.core.files import real_path


def check_extra(path: Path | None, option: str, files: Iterable[Path | None]) -> None:
    """Refuse a file that is one of the run's own files, or a folder.

    Args:
        path: what the option says; None and ``-`` are always right.
        option: its name.
        files: inputs, models and results.

    Raises:
        OutputError: it is one of them.
    """
    if path is None or str(path) == STREAM:
        return
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file with {option}")
    if Taken(files).has(path):
        raise _used(path, option)


def check_plot(path: Path | None, files: Iterable[Path | None], extra: str = "train") -> None:
    """:func:`check_extra` of ``--plot``, which matplotlib draws.

    Args:
        path: what the option says.
        files: inputs, models and results; of a folder, the files in it and below it, too.
        extra: what installs matplotlib for this command.

    Raises:
        OutputError: it is one of them, or its name does not end as a plot's does.
        MissingExtraError: matplotlib is not installed.
    """
    if path is None:
        return
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise OutputError(f"{path}: a plot's name ends in .png, .svg or .pdf")
    files = list(files)
    check_extra(path, "--plot", files)
    if is_below(path, files):
        raise _used(path, "--plot")
    if not importlib.util.find_spec("matplotlib"):
        raise MissingExtraError("matplotlib", extra, "draw the plot")


def is_below(path: Path, folders: Iterable[Path | None]) -> bool:
    """Whether there is such a file, in or below one of the folders; what is no folder is passed over."""
    known = {real_path(folder) for folder in folders if folder is not None and folder.is_dir()}
    return path.is_file() and not known.isdisjoint(real_path(path).parents)


def _used(path: Path, option: str) -> OutputError:
    return OutputError(f"{path}: is an input or a result of this run; name another file with {option}")
