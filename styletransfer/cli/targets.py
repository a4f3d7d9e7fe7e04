"""Which pictures a command means, and where each result goes: never onto an input, never two on one name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from styletransfer.core.errors import InputError, OutputError, StyleTransferError

STREAM = "-"


@dataclass(frozen=True)
class Job:
    """One picture and its results.

    Attributes:
        source: the picture's file, or None for stdin.
        targets: one file a style, in their order; None stands for stdout.
    """

    source: Path | None
    targets: tuple[Path | None, ...]

    @property
    def name(self) -> str:
        """What messages call the picture."""
        return "stdin" if self.source is None else str(self.source)


@dataclass
class Plan:
    """What to do, and the inputs that nothing can be done with (each as its error)."""

    jobs: list[Job] = field(default_factory=list)
    errors: list[StyleTransferError] = field(default_factory=list)


@dataclass(frozen=True)
class _Found:
    source: Path | None
    relative: Path  # what a folder of results calls it
    default_folder: Path  # where its results go without -o
    is_from_folder: bool = False


def plan(inputs: Sequence[str], output: str | None, styles: Sequence[str]) -> Plan:
    """Find the pictures and name their results.

    Without ``output``: a file's result lies beside it as ``<stem>-<style>``, a folder's results in
    ``<folder>-<style>``, and stdin's go to stdout. With several pictures or styles ``output`` is a folder,
    in which the folders of the inputs are kept.

    Raises:
        OutputError: ``output`` cannot serve: a file for many results, no picture format, or the input.
        InputError: stdin is named twice.
    """
    from styletransfer.core.pictures import format_of

    made = Plan()
    found: list[_Found] = []
    target = None if output in (None, STREAM) else Path(str(output))
    for text in dict.fromkeys(inputs):
        try:
            found += _find(text, target, styles)
        except InputError as error:
            made.errors.append(error)
    results = len(found) * len(styles)
    to_stdout = output == STREAM or (output is None and results > 0 and found[0].source is None)
    if to_stdout and (results > 1 or len(found) + len(made.errors) > 1):
        raise OutputError("only one result can go to stdout; name a folder with -o")
    if to_stdout:
        made.jobs = [Job(item.source, (None,)) for item in found]
        return made
    is_many = results > 1 or len(inputs) > 1 or any(item.is_from_folder for item in found)
    is_folder = target is not None and _means_folder(str(output), target, is_many)
    if target is not None and not is_folder:
        format_of(target)  # a suffix that cannot be written is better said before the work
    taken = _Taken(item.source for item in found)
    for item in found:
        if target is not None and not is_folder:
            if taken.is_input(target):
                raise OutputError(f"{target}: is the input itself; choose another output with -o")
            made.jobs.append(Job(item.source, (target,)))
        else:
            folder = target if target is not None else item.default_folder
            made.jobs.append(Job(item.source, _name(item, folder, target is not None, styles, taken)))
    return made


def _find(text: str, target: Path | None, styles: Sequence[str]) -> list[_Found]:
    from styletransfer.core.pictures import PICTURE_SUFFIXES

    if text == STREAM:
        return [_Found(None, Path("stdin.png"), Path())]
    path = Path(text)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if not path.is_dir():
        return [_Found(path, Path(path.name), path.parent)]
    tree = path.resolve()
    default = tree.parent / f"{tree.name}-{styles[0] if len(styles) == 1 else 'styles'}"
    own_results = target.resolve() if target is not None else None
    pictures = [
        file
        for file in _walk(path)
        if file.suffix.lower() in PICTURE_SUFFIXES
        and (own_results in (None, tree) or own_results not in file.resolve().parents)
    ]
    if not pictures:
        known = ", ".join(sorted(PICTURE_SUFFIXES))
        raise InputError(f"{path}: no pictures in this folder or below it (looked for {known})")
    return [_Found(file, file.relative_to(path), default, is_from_folder=True) for file in pictures]


def _walk(folder: Path) -> Iterator[Path]:
    """Every visible file below ``folder``, sorted; hidden ones are thumbnails and unfinished results."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent) / name for name in sorted(files) if not name.startswith("."))


def _means_folder(text: str, target: Path, is_many: bool) -> bool:
    from styletransfer.core.pictures import FORMATS

    if target.is_dir():
        return True
    looks_like_file = target.suffix.lower() in FORMATS and not text.endswith(("/", os.sep))
    if target.exists() or (is_many and looks_like_file):
        if is_many:
            raise OutputError(f"{target}: is a file name; several results need a folder after -o")
        return False
    return is_many or text.endswith(("/", os.sep)) or not target.suffix


class _Taken:
    """Names that no result may get: the inputs, and earlier results of this run."""

    def __init__(self, sources: Iterator[Path | None]) -> None:
        self._inputs = {self._key(source) for source in sources if source is not None}
        self._results: set[str] = set()

    @staticmethod
    def _key(path: Path) -> str:
        # Resolved, and without case: two names that differ by it are one file on macOS and Windows.
        return str(path.resolve()).casefold()

    def is_input(self, path: Path) -> bool:
        return self._key(path) in self._inputs

    def claim(self, path: Path) -> bool:
        key = self._key(path)
        if key in self._inputs or key in self._results:
            return False
        self._results.add(key)
        return True


def _name(item: _Found, folder: Path, keeps_name: bool, styles: Sequence[str], taken: _Taken) -> tuple[Path, ...]:
    from styletransfer.core.pictures import FORMATS

    suffix = item.relative.suffix
    if suffix.lower() not in FORMATS or suffix.lower() == ".gif":
        suffix = ".png"  # what cannot be written, or only in 256 colours
    parent, stem = folder / item.relative.parent, item.relative.stem
    targets = []
    for style in styles:
        plain, styled = [parent / f"{stem}{suffix}"], [parent / f"{stem}-{style}{suffix}"]
        numbered = (parent / f"{stem}-{style}-{number}{suffix}" for number in range(2, 1_000_000))
        is_plain = len(styles) == 1 and (keeps_name or item.is_from_folder)
        candidates = [*(plain if is_plain else []), *styled]
        target = next((path for path in candidates if taken.claim(path)), None)
        targets.append(target or next(path for path in numbered if taken.claim(path)))
    return tuple(targets)
