"""What the commands that train have in common: options, and what is checked before hours of work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from styletransfer.core.errors import MissingExtraError, OutputError

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
