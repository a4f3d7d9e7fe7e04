"""Pictures in, pictures out: what `stylize` and `restore` share."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from styletransfer.cli.common import fail, prints_to_terminal, progress, warn
from styletransfer.cli.targets import Job, Plan, named
from styletransfer.core.errors import InputError, OutputError, SettingsError, StyleTransferError

if TYPE_CHECKING:
    from pathlib import Path

    from styletransfer.core.pictures import Frame, Picture
    from styletransfer.runtime.chain import Chain

PicturesArgument = Annotated[
    list[str],
    typer.Argument(metavar="INPUTS...", help="Pictures or folders (searched recursively); - is stdin."),
]
QualityOption = Annotated[
    int | None,
    typer.Option(help="1..100 for JPEG, WebP and AVIF. Default: the input's own, else 92, 90, 80."),
]

_CLIPS = {"GIF", "PNG", "AVIF"}
"""Formats whose animations `video` reads: FFmpeg takes an animated WebP for a still, and a TIFF has pages."""

_FINE_QUANTISATION = 12.0
"""Mean step of a JPEG's first table up to which its own tables may hold a restored picture: quality 90 has 11.6.
Coarser ones would give back what was just removed."""


@dataclass(frozen=True)
class PictureLook:
    """How the results are to look: see the options of the commands.

    Attributes:
        strength: 0 (the photo) to 1 (the style).
        keep_colors: take only the luminance from the style.
        size: longer side that the picture is brought to first, pixels; None keeps it.
        quality: of JPEG, WebP and AVIF; None is the input's own.
    """

    strength: float = 1.0
    keep_colors: bool = False
    size: int | None = None
    quality: int | None = None

    def check(self) -> None:
        """Refuse what is out of range.

        Raises:
            SettingsError: a value outside its range.
        """
        if not 0.0 <= self.strength <= 1.0:
            raise SettingsError(f"--strength is {self.strength:g}; it goes from 0 (the photo) to 1 (the style)")
        if self.size is not None and not 16 <= self.size <= 32_768:
            raise SettingsError(f"--size is {self.size}; it goes from 16 to 32768 pixels")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise SettingsError(f"--quality is {self.quality}; it goes from 1 to 100")


def work_off(work: Plan, chains: Sequence[Chain], look: PictureLook, done_word: str) -> bool:
    """Do every job; whether all of them, and everything planned, went well.

    Args:
        work: the pictures; its errors have been said.
        chains: one for each target of a job.
        look: how results are to look.
        done_word: what was done to a picture, as ``stylized``.
    """
    from rich.markup import escape

    done, failed = 0, len(work.errors)
    size = ""
    started = time.perf_counter()
    with progress() as bar:
        task = bar.add_task("pictures", total=len(work.jobs), note="")
        for job in work.jobs:
            bar.update(task, note=escape(job.name[-40:]))
            try:
                size = _do(job, chains, look)
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
        how = f"{', '.join(chain.name for chain in chains)} on {chains[0].provider}"
        where = _where(work.jobs)
        if len(work.jobs) == 1 and not failed:
            typer.echo(f"{where}: {size}, {how}, {seconds:.2f} s", err=True)
            return True
        counts = f"{done} {done_word}" + (f", {failed} failed" if failed else "")
        typer.echo(f"{counts} ({how}, {seconds:.1f} s) in {where}", err=True)
    elif len(work.jobs) + len(work.errors) > 1:
        typer.echo(f"0 {done_word}, {failed} failed", err=True)
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


def _do(job: Job, chains: Sequence[Chain], look: PictureLook) -> str:
    """Read one picture and write what every chain makes of it; the last result's size as text."""
    from styletransfer.core.pictures import load_picture

    picture = load_picture(job.source or _stdin(), look.size, name=job.name)
    if picture.has_more_frames:
        hint = " (`video` takes all of them)" if picture.format in _CLIPS else ""
        warn(f"{job.name}: has several frames or pages, the first one is taken{hint}")
    size = ""
    for chain, target in zip(chains, job.targets, strict=True):
        frame = chain(picture.frame_hwc, look.strength, look.keep_colors)
        _save(_with_frame(picture, frame, chain), target, look.quality, job.name)
        size = f"{frame.shape[1]}×{frame.shape[0]}"
    return size


def _with_frame(picture: Picture, frame_hwc: Frame, chain: Chain) -> Picture:
    """The picture with another frame, its opacity brought to the same size."""
    from styletransfer.core.pictures import resize_frame

    result = replace(picture, frame_hwc=frame_hwc)
    if picture.alpha_hw is not None:
        size_wh = (frame_hwc.shape[1], frame_hwc.shape[0])
        result = replace(result, alpha_hw=resize_frame(picture.alpha_hw, size_wh))
    tables = picture.jpeg_qtables
    if tables and (chain.before or chain.after) and mean(next(iter(tables.values()))) > _FINE_QUANTISATION:
        result = replace(result, jpeg_qtables=None, jpeg_subsampling=None)
    return result


def _save(picture: Picture, target: Path | None, quality: int | None, name: str) -> None:
    from styletransfer.core.pictures import FORMATS, format_of, save_picture

    if target is None:
        format = picture.format if picture.format in set(FORMATS.values()) - {"GIF"} else "PNG"
        _to_stdout(picture, str(format), quality)
        return
    format = format_of(target)
    warn_of_lost_opacity(picture, format, name)
    save_picture(picture, target, quality=quality)


def warn_of_lost_opacity(picture: Picture, format: str, name: str) -> None:
    """Say what a format cannot hold of a picture's transparency."""
    from styletransfer.core.pictures import WITH_ALPHA

    alpha = picture.alpha_hw
    if alpha is not None and format not in WITH_ALPHA and alpha.min() < 255:
        warn(f"{name}: {format} has no transparency, the picture is laid on white")
    if alpha is not None and format == "GIF" and ((alpha > 0) & (alpha < 255)).any():
        warn(f"{name}: GIF has no partial transparency, pixels become opaque or wholly transparent")


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


def check_stdout() -> None:
    """Refuse to write a picture where no one reads it.

    Raises:
        OutputError: stdout is closed, or a terminal.
    """
    if sys.stdout is None:
        raise OutputError("stdout: is closed; name a file with -o")
    if prints_to_terminal():
        raise OutputError("a picture would go to the terminal; redirect stdout, or name a file with -o")


def _stdin() -> BinaryIO:
    if sys.stdin is None:
        raise InputError("stdin: is closed; pipe a picture into the command")
    if sys.stdin.isatty():
        raise InputError("stdin: is a terminal; pipe a picture into the command")
    return sys.stdin.buffer
