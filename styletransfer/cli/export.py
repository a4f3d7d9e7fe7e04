"""``styletransfer export``: a checkpoint to a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    checkpoint: Annotated[
        Path, typer.Argument(help="A checkpoint, or the .training folder that a training keeps them in.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file; default: the training's name, .onnx.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="float16 weights: half the size, for GPUs.")] = False,
) -> None:
    """Write a CHECKPOINT of `train` or `train-restore` as an ONNX file, checked against the network."""
    from styletransfer.core.errors import MissingExtraError, OutputError
    from styletransfer.core.files import real_path

    try:
        from styletransfer.training.checkpoint import find_checkpoint, is_restorer
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train", "export a checkpoint") from error

    found = find_checkpoint(checkpoint)
    if out is None:
        place = real_path(found)  # "." has no name
        out = (place.parent if place.name.startswith("checkpoint-") else place).with_suffix(".onnx")
    if out.suffix != ".onnx" or out.is_dir():
        raise OutputError(f"{out}: name a file that ends in .onnx with --out")
    step, psnr_db = (_write_restorer if is_restorer(found) else _write_style)(found, out, half)
    size_kb = out.stat().st_size / 1000
    typer.echo(f"{out}: {size_kb:,.0f} kB, step {step}, checked against the network: {psnr_db:.0f} dB")


def _write_style(found: Path, out: Path, half: bool) -> tuple[int, float]:
    from styletransfer.training.checkpoint import load_checkpoint
    from styletransfer.training.export import export_style, make_card

    network, progress = load_checkpoint(found)
    return progress.step, export_style(network, make_card(out.stem, progress), out, half)


def _write_restorer(found: Path, out: Path, half: bool) -> tuple[int, float]:
    from styletransfer.training.restoration.export import export_restorer, make_card
    from styletransfer.training.restoration.state import load_progress

    network, progress = load_progress(found)
    card = make_card(out.stem, progress, network.size_multiple)
    return progress.step, export_restorer(network.eval(), card, out, half)
