"""``styletransfer video``: video files in, stylized video files with the same sound and timing out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from styletransfer.cli.common import ModelOption, ProviderOption, fail, progress, warn
from styletransfer.cli.targets import Found, Taken, find, means_folder, named
from styletransfer.core.errors import InputError, SettingsError, StyleTransferError
from styletransfer.core.zoo import DEFAULT_STYLE

if TYPE_CHECKING:
    from styletransfer.core.frames import Frame
    from styletransfer.media.codecs import EncoderSettings
    from styletransfer.runtime.stylizer import Stylizer


@dataclass(frozen=True)
class _Options:
    """What holds for every clip of one run."""

    strength: float
    keep_colors: bool
    size: int | None
    audio: bool
    encoder: EncoderSettings


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
    model: ModelOption = DEFAULT_STYLE,
    strength: Annotated[float, typer.Option(help="0 (the clip itself) to 1 (the full style).")] = 1.0,
    keep_colors: Annotated[bool, typer.Option("--keep-colors", help="Keep the clip's own colours.")] = False,
    size: Annotated[int | None, typer.Option(help="Longer side of the result in pixels. Default: as the clip.")] = None,
    provider: ProviderOption = "auto",
    codec: Annotated[str, typer.Option(help="h264, hevc, vp9, av1 or prores. Default: vp9 for .webm, else h264.")] = "",
    crf: Annotated[int | None, typer.Option(help="Quality: lower is better and larger. Default: 18 for h264.")] = None,
    preset: Annotated[str, typer.Option(help="ultrafast to veryslow: slower makes smaller files.")] = "veryfast",
    audio: Annotated[bool, typer.Option("--audio/--no-audio", help="Copy the sound unchanged.")] = True,
) -> None:
    """Stylize video files.

    Sound, subtitles, metadata and time stamps are kept, a variable frame rate too; clips from phones come out
    upright. The output (.mp4, .m4v, .mov, .mkv or .webm) appears under its name when it is complete.
    """
    from styletransfer.core.zoo import resolve
    from styletransfer.media.codecs import EncoderSettings
    from styletransfer.runtime.stylizer import Stylizer

    if not 0.0 <= strength <= 1.0:
        raise SettingsError(f"--strength is {strength:g}; it goes from 0 (the clip) to 1 (the style)")
    if size is not None and not 16 <= size <= 16_384:
        raise SettingsError(f"--size is {size}; it goes from 16 to 16384 pixels")
    options = _Options(strength, keep_colors, size, audio, EncoderSettings(codec, crf, preset))
    options.encoder.check()
    style = resolve(model)
    clips, failed = _find(inputs, output, style.stem)
    is_many = len(inputs) > 1 or any(clip.is_from_folder for clip in clips)
    names = _Names(output, style.stem, options, clips, is_many)
    done = 0
    stylizer = Stylizer(style, provider=provider)
    for clip in clips:
        target = None
        try:
            target = names.target(clip)
            _stylize(clip, target, stylizer, options)
            done += 1
        except StyleTransferError as error:
            fail(named(error, str(clip.source), [target]))
            failed += 1
        except MemoryError:
            fail(f"{clip.source}: not enough memory for its frames; a smaller --size needs less")
            failed += 1
    if is_many:
        typer.echo(f"{done} clips done, {failed} failed", err=True)
    if failed:
        raise typer.Exit(1)


def _find(inputs: list[str], output: str | None, style: str) -> tuple[list[Found], int]:
    """The clips that are meant, and how many inputs hold none."""
    from styletransfer.media.video import VIDEO_SUFFIXES

    clips: list[Found] = []
    failed = 0
    for text in dict.fromkeys(inputs):
        try:
            clips += find(text, Path(output) if output else None, style, VIDEO_SUFFIXES, "video")
        except InputError as error:
            fail(str(error))
            failed += 1
    return clips, failed


class _Names:
    """Chooses the output names of one run. One by one: the suffix depends on what is in the clip."""

    def __init__(self, output: str | None, style: str, options: _Options, clips: list[Found], is_many: bool) -> None:
        from styletransfer.media.video import VIDEO_SUFFIXES

        self._style = style
        self._options = options
        self._taken = Taken(clip.source for clip in clips)
        target = None if output is None else Path(output)
        is_folder = output is not None and means_folder(output, is_many, VIDEO_SUFFIXES)
        self._folder = target if is_folder else None
        self._file = None if is_folder else target
        if self._file is not None:
            options.encoder.for_target(self._file)  # better said before the work

    def target(self, clip: Found) -> Path:
        """Where the result of a clip goes.

        Raises:
            InputError: the clip cannot be read.
            OutputError: the name is that of an input.
        """
        if self._file is not None:
            self._taken.check(self._file)
            return self._file
        assert clip.source is not None
        folder = (self._folder or clip.default_folder) / clip.relative.parent
        is_plain = self._folder is not None or clip.is_from_folder
        suffix = self._suffix(clip.source)
        return self._taken.free_name(folder, clip.relative.stem, self._style, suffix, is_plain)

    def _suffix(self, clip: Path) -> str:
        """The clip's own suffix where it can be written, else the first that holds picture and sound."""
        from styletransfer.media.codecs import MUXERS
        from styletransfer.media.copying import sound_fits

        encoder = self._options.encoder
        others: tuple[str, ...] = (".mov", ".mkv") if encoder.codec == "prores" else (".mp4", ".mkv", ".mov")
        for suffix in (clip.suffix.lower(), *others):
            if suffix not in MUXERS or not encoder.fits(suffix):
                continue
            if not self._options.audio or sound_fits(clip, suffix):
                return str(suffix)
        return ".mkv"


def _stylize(clip: Found, target: Path, stylizer: Stylizer, options: _Options) -> None:
    from rich.markup import escape

    from styletransfer.media.encode import VideoWriter
    from styletransfer.media.video import VideoReader
    from styletransfer.runtime import pipeline

    def stage(frame: Frame) -> Frame:
        return frame.with_picture(stylizer(frame.frame_hwc, strength=options.strength, keep_colors=options.keep_colors))

    assert clip.source is not None
    with VideoReader(clip.source, longer_side=options.size) as reader, progress() as bar:
        writer = VideoWriter(target, reader.format, options.encoder, copy_from=clip.source, copy_audio=options.audio)
        if stylizer.provider != "cpu":  # which needs no preparation for a size
            stylizer.warm_up(reader.format.height, reader.format.width)
        task = bar.add_task(escape(clip.source.name), total=reader.frames or None, note="")
        started = time.perf_counter()

        def advance() -> None:
            rate = writer.frames / (time.perf_counter() - started)
            bar.update(task, completed=writer.frames, note=f"{rate:.1f} fps")

        stats = pipeline.run(reader, stage, writer, written=advance)
        bar.update(task, total=stats.frames, completed=stats.frames)
    for sentence in (*reader.warnings, *writer.notes):
        warn(sentence)
    typer.echo(f"{target}: {stats.frames} frames, {stats.frames_per_s:.1f} fps, {stylizer.provider}")
