"""``styletransfer video``: video files in, stylized video files with the same sound and timing out."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from styletransfer.cli.chains import AfterOption, BeforeOption
from styletransfer.cli.common import ModelsOption, ProviderOption, fail
from styletransfer.core.errors import SettingsError

if TYPE_CHECKING:
    from styletransfer.cli.batch import BatchSettings
    from styletransfer.cli.clip import ClipOptions
    from styletransfer.cli.clips import ClipPlan


def video(
    inputs: Annotated[list[str], typer.Argument(help="Video files, or folders of them.", show_default=False)],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Result file, or folder for several results. Default: <name>-<style> beside the input.",
        ),
    ] = None,
    model: ModelsOption = None,
    before: BeforeOption = None,
    after: AfterOption = None,
    strength: Annotated[float, typer.Option(help="0 (the clip itself) to 1 (the full style).")] = 1.0,
    keep_colors: Annotated[bool, typer.Option("--keep-colors", help="Keep the clip's own colours.")] = False,
    smooth: Annotated[
        float, typer.Option(help="Against flicker: 0 (every frame by itself) to 1; 0.7 is a good start.")
    ] = 0.0,
    size: Annotated[
        int | None, typer.Option(help="Longer side of what is stylized, in pixels. Default: as the clip.")
    ] = None,
    provider: ProviderOption = "auto",
    codec: Annotated[str, typer.Option(help="h264, hevc, vp9, av1 or prores. Default: vp9 for .webm, else h264.")] = "",
    crf: Annotated[int | None, typer.Option(help="Quality: lower is better and larger. Default: 18 for h264.")] = None,
    preset: Annotated[str, typer.Option(help="ultrafast to veryslow: slower makes smaller files.")] = "veryfast",
    audio: Annotated[bool, typer.Option("--audio/--no-audio", help="Copy the sound unchanged.")] = True,
    hwaccel: Annotated[
        str, typer.Option(help="Decode and encode on this device where it can: auto, cuda, videotoolbox, ... [off]")
    ] = "",
    jobs: Annotated[int, typer.Option(help="Clips at the same time; pays where one leaves cores idle.")] = 1,
    ray: Annotated[
        str, typer.Option(help="Work on a Ray cluster: local, auto, 10.0.0.5:6379 or ray://10.0.0.5:10001. [off]")
    ] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make results of an earlier run again.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write what was done into this JSON file.")] = None,
) -> None:
    """Stylize video files.

    Sound, subtitles, metadata and time stamps are kept, a variable frame rate too; clips from phones come out
    upright. The output (.mp4, .m4v, .mov, .mkv or .webm) appears under its name when it is complete. A batch (a
    folder, several clips or several styles) that was interrupted goes on when the same command is run again:
    finished results are left as they are, and long clips continue where they were.

    A chain cleans before it stylizes, and enlarges after: `video clip.mp4 --before clean --size 640 --after upscale2`.
    """
    from styletransfer.cli.batch import BatchSettings
    from styletransfer.cli.chains import chain_names, find_restorers, find_styles
    from styletransfer.cli.clip import ClipOptions
    from styletransfer.cli.clips import plan_clips
    from styletransfer.cli.extra_files import check_extra
    from styletransfer.cli.stages import Look
    from styletransfer.media.codecs import EncoderSettings
    from styletransfer.media.hardware import check as check_device

    _check("--strength", strength, 0.0, 1.0, " (the clip) to 1 (the style)")
    _check("--smooth", smooth, 0.0, 1.0, " (every frame by itself) to 1 (as steady as it goes)")
    _check("--size", size, 16, 16_384, " to 16384 pixels")
    _check("--jobs", jobs, 1, 64, " to 64")
    check_device(hwaccel)
    encoder = EncoderSettings(codec, crf, preset, hwaccel)
    encoder.check()
    restorers = find_restorers(before, after)
    options = ClipOptions(Look(strength, keep_colors, smooth), size, audio, encoder, hwaccel, restorers=restorers)
    styles = find_styles(model, restorers)
    plan = plan_clips(
        inputs, output, list(zip(chain_names(styles, restorers), styles, strict=True)), options, bool(ray)
    )
    files = [path for job in plan.jobs for path in (job.source, job.model, job.target)]
    check_extra(report, "--report", files)
    key_parts = _what_results_depend_on(options, provider)
    settings = BatchSettings(options, provider, jobs, overwrite, key_parts, plan.is_many, ray)
    if not _run(plan, settings, report):
        raise typer.Exit(1)


def _check(name: str, value: float | None, low: float, high: float, range_after_low: str) -> None:
    if value is not None and not low <= value <= high:  # false for NaN too
        raise SettingsError(f"{name} is {value}; it goes from {low:g}{range_after_low}")


def _run(plan: ClipPlan, settings: BatchSettings, report: Path | None) -> bool:
    """Work off the queue and say what became of it; whether nothing failed.

    Raises:
        StoppedError: Ctrl-C, after the report.
    """
    from styletransfer.cli import summary
    from styletransfer.cli.batch import FAILED, Batch
    from styletransfer.cli.clips import check_space
    from styletransfer.core.errors import StoppedError

    started = time.perf_counter()
    stopped: StoppedError | None = None
    if plan.jobs:
        check_space(plan.jobs)
        try:
            Batch(plan.jobs, settings).run()
        except StoppedError as error:
            stopped = error
        if plan.is_many:
            summary.show_table(plan)
    if report is not None:
        summary.write_report(report, plan, settings.key_parts, time.perf_counter() - started)
    for reason in summary.failures(plan):
        fail(reason)
    if plan.is_many:
        typer.echo(summary.counts(plan), err=True)
    if stopped is not None:
        raise stopped
    return not (plan.failures or any(job.status == FAILED for job in plan.jobs))


def _what_results_depend_on(options: ClipOptions, provider: str) -> dict[str, Any]:
    """Everything but clip, style and name; a journal does not take results with other settings for finished."""
    import av

    from styletransfer import __version__

    versions = {name: ".".join(map(str, version)) for name, version in av.library_versions.items()}
    parts = {**asdict(options), "restorers": options.restorers.fingerprint()}
    return {**parts, "provider": provider, "version": __version__, "ffmpeg": versions}
