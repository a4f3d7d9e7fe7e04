"""``styletransfer stylize``: pictures in, stylized pictures out."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from styletransfer.cli.common import ModelsOption, ProviderOption, fail, progress, warn
from styletransfer.cli.targets import Job, Plan, named, plan, style_names
from styletransfer.core.errors import InputError, OutputError, SettingsError, StyleTransferError
from styletransfer.core.zoo import DEFAULT_STYLE, resolve

if TYPE_CHECKING:
    from pathlib import Path

    from styletransfer.core.pictures import Picture
    from styletransfer.runtime.stylizer import Stylizer


@dataclass(frozen=True)
class _Look:
    """How the results are to look: see the options of the command."""

    strength: float
    keep_colors: bool
    size: int | None
    quality: int | None


def stylize(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUTS...", help="Pictures or folders (searched recursively); - is stdin."),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Result file, folder for several results, or - for stdout. Default: <name>-<style> beside the input.",
        ),
    ] = None,
    model: ModelsOption = None,
    strength: Annotated[float, typer.Option(help="0 gives the photo, 1 the full style.")] = 1.0,
    keep_colors: Annotated[
        bool, typer.Option("--keep-colors", help="Keep the photo's colours, take the luminance only.")
    ] = False,
    size: Annotated[
        int | None,
        typer.Option(help="Longer side of the result, in pixels; smaller pictures get larger strokes."),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(help="1..100 for JPEG, WebP and AVIF. Default: the input's own, else 92, 90, 80."),
    ] = None,
    provider: ProviderOption = "auto",
) -> None:
    """Stylize pictures.

    Transparency, colour profile, EXIF and JPEG quality are kept; a JPEG result lays transparency on white.
    An input is never overwritten; an earlier result of the same name is.
    """
    look = _checked(_Look(strength, keep_colors, size, quality))
    from styletransfer.runtime.stylizer import Stylizer

    paths = list(dict.fromkeys(resolve(name) for name in model or [DEFAULT_STYLE]))
    work = plan(inputs, output, style_names(paths))
    for error in work.errors:
        fail(str(error))
    if any(None in job.targets for job in work.jobs):
        _check_stdout()
    stylizers = [Stylizer(path, provider) for path in paths] if work.jobs else []
    if not _run(work, stylizers, look):
        raise typer.Exit(1)


def _checked(look: _Look) -> _Look:
    if not 0.0 <= look.strength <= 1.0:
        raise SettingsError(f"--strength is {look.strength:g}; it goes from 0 (the photo) to 1 (the style)")
    if look.size is not None and not 16 <= look.size <= 32_768:
        raise SettingsError(f"--size is {look.size}; it goes from 16 to 32768 pixels")
    if look.quality is not None and not 1 <= look.quality <= 100:
        raise SettingsError(f"--quality is {look.quality}; it goes from 1 to 100")
    return look


def _run(work: Plan, stylizers: list[Stylizer], look: _Look) -> bool:
    """Do every job; whether all of them, and everything planned, went well."""
    from rich.markup import escape

    done, failed = 0, len(work.errors)
    size = ""
    started = time.perf_counter()
    with progress() as bar:
        task = bar.add_task("stylizing", total=len(work.jobs), note="")
        for job in work.jobs:
            bar.update(task, note=escape(job.name[-40:]))
            try:
                size = _do(job, stylizers, look)
                done += 1
            except StyleTransferError as error:
                fail(named(error, job.name, job.targets))
                failed += 1
            except MemoryError:
                fail(f"{job.name}: not enough memory; use --size to make it smaller")
                failed += 1
            bar.advance(task)
    seconds = time.perf_counter() - started
    if done:
        how = f"{', '.join(stylizer.name for stylizer in stylizers)} on {stylizers[0].provider}"
        where = _where(work.jobs)
        if len(work.jobs) == 1 and not failed:
            typer.echo(f"{where}: {size}, {how}, {seconds:.2f} s", err=True)
            return True
        counts = f"{done} stylized" + (f", {failed} failed" if failed else "")
        typer.echo(f"{counts} ({how}, {seconds:.1f} s) in {where}", err=True)
    elif len(work.jobs) + len(work.errors) > 1:
        typer.echo(f"0 stylized, {failed} failed", err=True)
    return failed == 0


def _where(jobs: list[Job]) -> str:
    targets = [target for job in jobs for target in job.targets]
    if None in targets:
        return "stdout"
    if len(targets) == 1:
        return str(targets[0])
    try:
        common = os.path.commonpath([target.parent for target in targets if target is not None])
    except ValueError:  # relative and absolute ones, or two drives
        return "several folders"
    return common or "."


def _do(job: Job, stylizers: list[Stylizer], look: _Look) -> str:
    """Read one picture and write it in every style; its size as text."""
    from styletransfer.core.pictures import load_picture

    picture = load_picture(job.source or _stdin(), look.size, name=job.name)
    if picture.has_more_frames:
        warn(f"{job.name}: has several frames or pages, the first one is taken (`video` takes clips)")
    for stylizer, target in zip(stylizers, job.targets, strict=True):
        frame = stylizer(picture.frame_hwc, look.strength, look.keep_colors)
        _save(replace(picture, frame_hwc=frame), target, look.quality, job.name)
    return f"{picture.frame_hwc.shape[1]}×{picture.frame_hwc.shape[0]}"


def _save(picture: Picture, target: Path | None, quality: int | None, name: str) -> None:
    from styletransfer.core.pictures import FORMATS, WITH_ALPHA, format_of, save_picture

    if target is None:
        format = picture.format if picture.format in set(FORMATS.values()) - {"GIF"} else "PNG"
        _to_stdout(picture, str(format), quality)
        return
    format = format_of(target)
    if picture.alpha_hw is not None and format not in WITH_ALPHA and picture.alpha_hw.min() < 255:
        warn(f"{name}: {format} has no transparency, the picture is laid on white")
    save_picture(picture, target, quality=quality)


def _to_stdout(picture: Picture, format: str, quality: int | None) -> None:
    from styletransfer.core.pictures import save_picture

    stream = sys.stdout.buffer
    try:
        save_picture(picture, stream, format, quality)
        stream.flush()
    except BrokenPipeError:
        raise  # the command line knows what to do
    except OSError as error:
        raise OutputError(f"stdout: cannot be written ({error.strerror or error})") from error


def _check_stdout() -> None:
    if sys.stdout is None:
        raise OutputError("stdout: is closed; name a file with -o")
    if sys.stdout.isatty():
        raise OutputError("a picture would go to the terminal; redirect stdout, or name a file with -o")


def _stdin() -> BinaryIO:
    if sys.stdin is None:
        raise InputError("stdin: is closed; pipe a picture into the command")
    if sys.stdin.isatty():
        raise InputError("stdin: is a terminal; pipe a picture into the command")
    return sys.stdin.buffer
