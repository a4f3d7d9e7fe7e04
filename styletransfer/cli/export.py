"""``styletransfer export``: a checkpoint to a style file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    checkpoint: Annotated[
        Path, typer.Argument(help="A checkpoint, or the .training folder that `train` keeps them in.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The style file; default: the training's name, .onnx.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="float16 weights: half the size, for GPUs.")] = False,
) -> None:
    """Write a CHECKPOINT as an ONNX style file, checked against the network."""
    from styletransfer.core.errors import MissingExtraError, OutputError

    try:
        from styletransfer.training.checkpoint import find_checkpoint, load_checkpoint
        from styletransfer.training.export import export_style, make_card
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train", "export a checkpoint") from error

    found = find_checkpoint(checkpoint)
    network, progress = load_checkpoint(found)
    if out is None:
        folder = found.parent if found.name.startswith("checkpoint-") else found
        out = folder.resolve().with_suffix(".onnx")
    if out.suffix != ".onnx" or out.is_dir():
        raise OutputError(f"{out}: name a file that ends in .onnx with --out")
    psnr_db = export_style(network, make_card(out.stem, progress), out, half)
    size_kb = out.stat().st_size / 1000
    typer.echo(f"{out}: {size_kb:,.0f} kB, step {progress.step}, checked against the network: {psnr_db:.0f} dB")
