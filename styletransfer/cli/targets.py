"""Which files a command means, and where each result goes: never onto an input, never two on one name."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from styletransfer.core.errors import InputError, OutputError, StyleTransferError
from styletransfer.core.files import real_path, unreadable_folder

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
class Found:
    """One input.

    Attributes:
        source: the file, or None for stdin.
        relative: its place below the folder that was named, or its name alone.
        default_folder: where its results go without ``-o``.
        is_from_folder: it was found in a folder that was named.
    """

    source: Path | None
    relative: Path
    default_folder: Path
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
    from styletransfer.core.pictures import FORMATS, PICTURE_SUFFIXES, format_of

    made = Plan()
    found: list[Found] = []
    if output == "":
        raise OutputError("-o is an empty name; name a file or a folder (. is the current one)")
    target = None if output in (None, STREAM) else Path(str(output))
    label = styles[0] if len(styles) == 1 else "styles"
    for text in dict.fromkeys(inputs):
        try:
            if text == STREAM:
                found.append(Found(None, Path("stdin.png"), Path()))
            else:
                found += find(text, target, label, PICTURE_SUFFIXES, "pictures", made.errors.append)
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
    is_folder = target is not None and means_folder(str(output), is_many, FORMATS)
    if target is not None and not is_folder:
        format_of(target)  # a suffix that cannot be written is better said before the work
    taken = Taken(item.source for item in found)
    for item in found:
        if target is not None and not is_folder:
            taken.check(target)
            made.jobs.append(Job(item.source, (target,)))
        else:
            folder = target if target is not None else item.default_folder
            made.jobs.append(Job(item.source, _name(item, folder, target is not None, styles, taken)))
    return made


def find(
    text: str,
    output: Path | None,
    label: str,
    suffixes: Collection[str],
    kind: str,
    on_unreadable: Callable[[InputError], None],
) -> list[Found]:
    """The file that ``text`` names, or the files with one of ``suffixes`` in and below the folder.

    Args:
        text: what the user wrote.
        output: a folder of results, which is not searched where it lies inside.
        label: a folder's results go into ``<folder>-<label>`` by default.
        suffixes: of the files to look for, in lower case.
        kind: what messages call them.
        on_unreadable: told of each folder below that cannot be looked into.

    Raises:
        InputError: nothing there, or it cannot be looked at.
        OutputError: the results would go among the inputs, and be inputs of the next run.
    """
    if not text:  # Path("") is the current folder, which an unset variable in a script does not mean
        raise InputError("an input is an empty name; name a file or a folder (. is the current one)")
    path = Path(text)
    try:
        exists = path.exists()
    except OSError as error:  # a folder on the way has no permission
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not exists:
        raise InputError(f"{path}: no such file or folder")
    if not path.is_dir():
        return [Found(path, Path(path.name), path.parent)]
    tree = real_path(path)
    results = tree.parent / f"{tree.name}-{label}"
    if output is not None and real_path(output) == tree:
        raise OutputError(
            f"{output}: is the folder of the inputs, and the next run would take the results for some; "
            f"choose another with -o, or leave it out for {results}"
        )
    inside = [file for file in _walk(path, output, on_unreadable) if file.suffix.lower() in suffixes]
    if not inside:
        known = ", ".join(sorted(suffixes))
        raise InputError(f"{path}: no {kind} in this folder or below it (looked for {known})")
    return [Found(file, file.relative_to(path), results, is_from_folder=True) for file in inside]


def _walk(folder: Path, output: Path | None, on_unreadable: Callable[[InputError], None]) -> Iterator[Path]:
    """Every visible file below ``folder``, sorted; hidden ones are thumbnails and unfinished results.

    Pipes, sockets and devices are none: opening them could wait for ever.
    """

    def unreadable(error: OSError) -> None:
        on_unreadable(unreadable_folder(error))

    own_results = real_path(output) if output is not None else None
    for parent, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if own_results is not None and real_path(Path(parent)) == own_results:
            folders.clear()
        else:
            visible = (Path(parent) / name for name in sorted(files) if not name.startswith("."))
            yield from (path for path in visible if path.is_file() or path.is_symlink())


def means_folder(output: str, is_many: bool, suffixes: Collection[str]) -> bool:
    """Whether ``-o`` names a folder for results rather than one result.

    Raises:
        OutputError: it names a file, and there are many results.
    """
    target = Path(output)
    if target.is_dir():
        return True
    ends_as_folder = output.endswith(("/", os.sep))
    if target.exists() or (is_many and target.suffix.lower() in suffixes and not ends_as_folder):
        if is_many:
            raise OutputError(f"{target}: is a file name; several results need a folder after -o")
        return False
    return is_many or ends_as_folder or not target.suffix


class Taken:
    """Names that no result may get: the inputs, and earlier results of this run."""

    def __init__(self, sources: Iterable[Path | None]) -> None:
        self._inputs = {self._key(source) for source in sources if source is not None}
        self._results: set[str] = set()

    @staticmethod
    def _key(path: Path) -> str:
        # Resolved, and without case: two names that differ by it are one file on macOS and Windows.
        return str(real_path(path)).casefold()

    def check(self, path: Path) -> None:
        """Refuse an output that is an input.

        Raises:
            OutputError: it is.
        """
        if self.has(path):
            raise OutputError(f"{path}: is the input itself; choose another output with -o")

    def has(self, path: Path) -> bool:
        """Whether a file is an input."""
        return self._key(path) in self._inputs

    def free_name(self, folder: Path, stem: str, style: str, suffix: str, is_plain: bool) -> Path:
        """Claim ``<stem>-<style><suffix>`` (or, if ``is_plain``, first ``<stem><suffix>``), or the next free number."""
        names = itertools.chain(
            [stem] if is_plain else [], [f"{stem}-{style}"], (f"{stem}-{style}-{n}" for n in itertools.count(2))
        )
        return next(path for path in (folder / f"{name}{suffix}" for name in names) if self._claim(path))

    def _claim(self, path: Path) -> bool:
        key = self._key(path)
        if key in self._inputs or key in self._results:
            return False
        self._results.add(key)
        return True


def style_names(paths: Iterable[Path]) -> list[str]:
    """The styles' names for file names; two files of the same name get a number."""
    names: list[str] = []
    for path in paths:
        same = sum(name == path.stem or name.startswith(f"{path.stem}~") for name in names)
        names.append(f"{path.stem}~{same + 1}" if same else path.stem)
    return names


def named(error: Exception, source: str, targets: Iterable[Path | None]) -> str:
    """The error's message, with the input's name before it unless it begins with a file of this job."""
    text = str(error)
    names = (source, *(str(target) for target in targets if target is not None))
    return text if text.startswith(tuple(f"{name}:" for name in names)) else f"{source}: {text}"


def _name(item: Found, folder: Path, keeps_name: bool, styles: Sequence[str], taken: Taken) -> tuple[Path, ...]:
    from styletransfer.core.pictures import FORMATS

    suffix = item.relative.suffix
    if suffix.lower() not in FORMATS or suffix.lower() == ".gif":
        suffix = ".png"  # what cannot be written, or only in 256 colours
    parent, stem = folder / item.relative.parent, item.relative.stem
    is_plain = len(styles) == 1 and (keeps_name or item.is_from_folder)
    return tuple(taken.free_name(parent, stem, style, suffix, is_plain) for style in styles)
