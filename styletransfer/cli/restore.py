"""``styletransfer restore``: noisy, compressed or small pictures in, restored pictures out."""

from __future__ import annotations

from typing import Annotated

import typer

from styletransfer.cli.chains import find_restorers
from styletransfer.cli.common import ProviderOption, fail
from styletransfer.cli.pictures import PictureLook, PicturesArgument, QualityOption, check_stdout, work_off
from styletransfer.cli.targets import plan
from styletransfer.core.errors import SettingsError
from styletransfer.core.zoo import shipped_restorers


def restore(
    inputs: PicturesArgument,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Result file, folder for several results, or - for stdout. Default: <name>-<model> beside the input.",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="A shipped restoration network's name (see `models`) or an .onnx file; several times for one after "
            "the other, as -m clean -m upscale2.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Longer side that the picture is brought to first, in pixels.")
    ] = None,
    quality: QualityOption = None,
    provider: ProviderOption = "auto",
) -> None:
    """Restore pictures: take noise or JPEG's blocks away, enlarge.

    Transparency, colour profile and EXIF are kept, a JPEG's quality too where it is 90 or more: a coarser one would
    give back what was removed. What does not fit into memory is done in tiles. An input is never overwritten.
    """
    look = PictureLook(size=size, quality=quality)
    look.check()
    if not model:
        there = ", ".join(shipped_restorers()) or "none are shipped here"
        raise SettingsError(f"name a restoration network with -m ({there}) or give its .onnx file")
    restorers = find_restorers(model, None)
    work = plan(inputs, output, [restorers.label("")])
    for error in work.errors:
        fail(str(error))
    if any(None in job.targets for job in work.jobs):
        check_stdout()
    chains = [restorers.load(None, provider)] if work.jobs else []
    if not work_off(work, chains, look, "restored"):
        raise typer.Exit(1)
