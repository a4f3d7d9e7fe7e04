"""What the commands that train have in common: options, and what is checked before hours of work."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from styletransfer.cli.common import warn
from styletransfer.cli.extra_files import check_extra, is_below
from styletransfer.core.errors import MissingExtraError, OutputError
from styletransfer.core.files import explain_os_error
from styletransfer.core.work import work_of

ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Continue an interrupted training: the same command plus this.")
]
HalfOption = Annotated[bool, typer.Option("--half", help="Write float16 weights (half the size, for GPUs).")]
PreviewOption = Annotated[int, typer.Option("--preview-every", min=0, help="Steps between previews.")]
CheckpointOption = Annotated[int, typer.Option("--checkpoint-every", min=0, help="Steps between checkpoints.")]
TensorboardOption = Annotated[Path | None, typer.Option("--tensorboard", help="Folder for TensorBoard's event files.")]


def check_out(out: Path, suffix: str, what: str) -> None:
    """Refuse a name that the result cannot have.

    Args:
        out: ``--out``.
        suffix: that it ends in.
        what: the file, as a sentence begins with it.

    Raises:
        OutputError: another ending, or there is a folder of that name.
    """
    if out.suffix != suffix:
        raise OutputError(f"{out}: {what} ends in {suffix}; use --out {out.with_suffix(suffix)}")
    if out.is_dir():
        raise OutputError(f"{out}: is a folder; name a file with --out")


def check_pictures(pictures: Iterable[Path], out: Path, inputs: Iterable[Path]) -> None:
    """Refuse a name whose pictures would replace what the training reads.

    Args:
        pictures: that the training makes beside ``out``.
        out: ``--out``. Where it exists, pictures of these names are an earlier training's.
        inputs: files, and folders of photos.

    Raises:
        OutputError: one of them is an input, or lies in one.
    """
    inputs = list(inputs)
    for picture in pictures:
        check_extra(picture, "--out", inputs)
        is_new = picture.parent == out.parent and not out.exists()  # in the training's folder it is a training's
        if is_new and is_below(picture, inputs):
            raise OutputError(f"{picture}: is one of the photos, and would be replaced; name another file with --out")


@contextlib.contextmanager
def training_folder(out: Path, resume: bool) -> Iterator[None]:
    """Keep everybody else from training in the folder of ``out``'s training meanwhile.

    A training that begins anew puts aside what an unfinished one of its name left there.

    Args:
        out: the training's file, ``--out``.
        resume: go on with what is there.

    Raises:
        OutputError: another training is at work there, or it cannot be written.
    """
    from styletransfer.training.checkpoint import is_unfinished

    work = work_of(out)
    if not resume and work.is_dir():
        with _locked(work):
            is_wanted = is_unfinished(work, out)
        if is_wanted:  # without the lock, which lies in there: some systems rename no folder of open files
            set_aside(out, work_of)
    with _locked(work):
        yield


@contextlib.contextmanager
def _locked(work: Path) -> Iterator[None]:
    from styletransfer.media.database import lock

    path = work / "lock.sqlite"
    try:
        work.mkdir(parents=True, exist_ok=True)
        connection = lock(path, work, "another name with --out")
    except OSError as error:
        raise explain_os_error(error, work) from error
    except sqlite3.Error as error:
        raise OutputError(f"{work}: cannot be written ({error})") from error
    try:
        yield
    finally:
        connection.close()
        with contextlib.suppress(OSError):  # the folder is empty where there was nothing to resume
            path.unlink()
            work.rmdir()


def set_aside(out: Path, saved_at: Callable[[Path], Path]) -> None:
    """Rename what unfinished work has saved, for work that begins anew under its name; it can still be resumed.

    Args:
        out: the file that was to come of it.
        saved_at: where the work on a file is saved.

    Raises:
        OutputError: it cannot be renamed.
    """
    stems = itertools.chain([f"{out.stem}-unfinished"], (f"{out.stem}-unfinished-{n}" for n in itertools.count(2)))
    names = (out.with_name(f"{stem}{out.suffix}") for stem in stems)
    name = next(name for name in names if not saved_at(name).exists())
    work, target = saved_at(out), saved_at(name)
    try:
        work.rename(target)
    except OSError as error:
        raise explain_os_error(error, target) from error
    warn(f"{work}: unfinished work was there, now in {target}; --resume with --out {name} continues it, or delete it")


def need_extra(why: str) -> None:
    """Refuse to start where the packages of the extra ``train`` are missing.

    Args:
        why: what they are needed for, as it completes "... is needed to ...".

    Raises:
        MissingExtraError: one of them is not installed.
    """
    try:
        import onnx  # noqa: F401
        import safetensors  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train", why) from error
