"""What the commands that train have in common: options, and what is checked before hours of work."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from styletransfer.cli.common import warn
from styletransfer.cli.extra_files import check_extra, is_below
from styletransfer.core.errors import MissingExtraError, OutputError
from styletransfer.core.files import explain_os_error

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


def curves_of(out: Path) -> Path:
    """Where the loss curves of the training of ``out`` go."""
    return out.with_name(f"{out.stem}-losses.png")


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


def set_aside(work: Path, out: Path) -> None:
    """Rename the folder of a training that never came to its file, for one that begins anew under its name.

    Under the new name it can still be resumed.

    Args:
        work: the training's folder.
        out: its file, ``--out``.

    Raises:
        OutputError: it cannot be renamed.
    """
    from styletransfer.training.checkpoint import last_save

    saved = last_save(work)
    if saved is None or (out.exists() and out.stat().st_mtime >= saved):
        return
    first = f"{out.stem}-unfinished"
    names = itertools.chain([first], (f"{first}-{number}" for number in itertools.count(2)))
    name = next(name for name in names if not out.with_name(f"{name}{work.suffix}").exists())
    target = out.with_name(f"{name}{work.suffix}")
    try:
        work.rename(target)
    except OSError as error:
        raise explain_os_error(error, target) from error
    warn(
        f"{work}: an unfinished training was there, now in {target}; --resume with --out "
        f"{out.with_name(f'{name}{out.suffix}')} continues it, or delete it"
    )


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
