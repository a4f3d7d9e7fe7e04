"""``styletransfer stylize``: pictures in, stylized pictures out."""

from __future__ import annotations

from typing import Annotated

import typer

from styletransfer.cli.chains import AfterOption, BeforeOption, chain_names, find_restorers, find_styles
from styletransfer.cli.common import ModelsOption, ProviderOption, fail
from styletransfer.cli.pictures import PictureLook, PicturesArgument, QualityOption, check_stdout, work_off
from styletransfer.cli.targets import plan


def stylize(
    inputs: PicturesArgument,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Result file, folder for several results, or - for stdout. Default: <name>-<style> beside the input.",
        ),
    ] = None,
    model: ModelsOption = None,
    before: BeforeOption = None,
    after: AfterOption = None,
    strength: Annotated[float, typer.Option(help="0 gives the photo, 1 the full style.")] = 1.0,
    keep_colors: Annotated[
        bool, typer.Option("--keep-colors", help="Keep the photo's colours, take the luminance only.")
    ] = False,
    size: Annotated[
        int | None,
        typer.Option(help="Longer side of what is stylized, in pixels; smaller pictures get larger strokes."),
    ] = None,
    quality: QualityOption = None,
    provider: ProviderOption = "auto",
) -> None:
    """Stylize pictures.

    Transparency, colour profile, EXIF and JPEG quality are kept; a JPEG result lays transparency on white.
    An input is never overwritten; an earlier result of the same name is.

    A chain cleans before it stylizes, and enlarges after: `stylize photo.jpg --before clean --after upscale2`. Then a
    JPEG quality below 90 is not kept.
    """
    look = PictureLook(strength, keep_colors, size, quality)
    look.check()
    restorers = find_restorers(before, after)
    styles = find_styles(model, restorers)
    work = plan(inputs, output, chain_names(styles, restorers))
    for error in work.errors:
        fail(str(error))
    if any(None in job.targets for job in work.jobs):
        check_stdout()
    chains = [restorers.load(style, provider) for style in styles] if work.jobs else []
    if not work_off(work, chains, look, "stylized"):
        raise typer.Exit(1)
