"""``styletransfer video``: video files in, stylized video files with the same sound and timing out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from styletransfer.cli.common import ModelOption, ProviderOption, fail, progress, warn
from styletransfer.core.errors import OutputError, SettingsError, StyleTransferError
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
    inputs: Annotated[list[Path], typer.Argument(help="Video files, or folders of them.", show_default=False)],
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
    single = len(inputs) == 1 and not inputs[0].is_dir()
    clips, failed = _find(inputs, output, style.stem)
    names = _Names(output, style.stem, options, clips, single)
    done = 0
    stylizer = Stylizer(style, provider=provider)
    for clip in clips:
        try:
            _stylize(clip.path, names.target(clip), stylizer, options)
            done += 1
        except StyleTransferError as error:
            fail(str(error))
            failed += 1
        except MemoryError:
            fail(f"{clip.path}: not enough memory for its frames; a smaller --size needs less")
            failed += 1
    if not single:
        typer.echo(f"{done} clips done, {failed} failed", err=True)
    if failed:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Clip:
    """One clip of the inputs.

    Attributes:
        path: the file.
        relative: its place below the folder that was named, or its name alone.
        folder: where its result goes without ``--output``.
        is_from_folder: it was found in a folder that was named.
    """

    path: Path
    relative: Path
    folder: Path
    is_from_folder: bool = False


def _find(inputs: list[Path], output: str | None, style: str) -> tuple[list[_Clip], int]:
    """The clips that are meant, and how many inputs hold none."""
    clips: list[_Clip] = []
    failed = 0
    for given in dict.fromkeys(inputs):
        if not given.is_dir():
            clips.append(_Clip(given, Path(given.name), given.parent))
            continue
        tree = given.resolve()
        results = tree.with_name(f"{tree.name}-{style}")
        inside = list(_walk(given, Path(output).resolve() if output else None))
        if not inside:
            fail(f"{given}: no video in this folder or below (looked for {', '.join(sorted(_suffixes()))})")
            failed += 1
        clips += [_Clip(path, path.relative_to(given), results, is_from_folder=True) for path in inside]
    return clips, failed


def _walk(folder: Path, results: Path | None) -> Iterator[Path]:
    """Every visible video below ``folder``, sorted, without what lies in the folder of results."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if results is not None and results != folder.resolve() and Path(parent).resolve() == results:
            folders.clear()
            continue
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in _suffixes():
                yield Path(parent) / name


class _Names:
    """Chooses the output names of one run: no two the same, none that of an input."""

    def __init__(self, output: str | None, style: str, options: _Options, clips: list[_Clip], single: bool) -> None:
        self._style = style
        self._options = options
        self._taken = {self._key(clip.path) for clip in clips}
        self._file: Path | None = None
        self._folder: Path | None = None
        if output is None:
            return
        target = Path(output)
        names_file = bool(target.suffix) and not output.endswith(("/", os.sep))
        if single and not target.is_dir() and (names_file or target.exists()):
            options.encoder.for_target(target)  # better said before the work
            self._file = target
            return
        if target.is_file() or (names_file and not target.is_dir() and target.suffix.lower() in _suffixes()):
            raise OutputError(f"{output}: is a file name; several results need a folder after -o")
        self._folder = target

    def target(self, clip: _Clip) -> Path:
        """Where the result of a clip goes.

        Raises:
            InputError: the clip cannot be read.
            OutputError: the name is that of an input.
        """
        if self._file is not None:
            if self._key(self._file) in self._taken:
                raise OutputError(f"{self._file}: is the input itself; choose another output with -o")
            return self._file
        suffix = self._suffix(clip.path)
        folder = (self._folder or clip.folder) / clip.relative.parent
        stem = clip.relative.stem
        names = [f"{stem}-{self._style}", *(f"{stem}-{self._style}-{n}" for n in range(2, 1000))]
        if self._folder is not None or clip.is_from_folder:
            names.insert(0, stem)
        for name in names:
            target = folder / f"{name}{suffix}"
            if self._key(target) not in self._taken:
                self._taken.add(self._key(target))
                return target
        raise OutputError(f"{folder}: a thousand results named {stem}{suffix}; give the clips other names")

    @staticmethod
    def _key(path: Path) -> str:
        # Resolved, and without case: names that differ by it are one file on macOS and Windows.
        return str(path.resolve()).casefold()

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


def _suffixes() -> frozenset[str]:
    from styletransfer.media.video import VIDEO_SUFFIXES

    return VIDEO_SUFFIXES


def _stylize(clip: Path, target: Path, stylizer: Stylizer, options: _Options) -> None:
    from styletransfer.media.encode import VideoWriter
    from styletransfer.media.video import VideoReader
    from styletransfer.runtime import pipeline

    def stage(frame: Frame) -> Frame:
        return frame.with_picture(stylizer(frame.frame_hwc, strength=options.strength, keep_colors=options.keep_colors))

    with VideoReader(clip, longer_side=options.size) as reader, progress() as bar:
        writer = VideoWriter(target, reader.format, options.encoder, copy_from=clip, copy_audio=options.audio)
        task = bar.add_task(clip.name, total=reader.frames or None, note="")
        started = time.perf_counter()

        def advance() -> None:
            rate = writer.frames / (time.perf_counter() - started)
            bar.update(task, completed=writer.frames, note=f"{rate:.1f} fps")

        stats = pipeline.run(reader, stage, writer, written=advance)
        bar.update(task, total=stats.frames, completed=stats.frames)
    for sentence in (*reader.warnings, *writer.notes):
        warn(sentence)
    typer.echo(f"{target}: {stats.frames} frames, {stats.frames_per_s:.1f} fps, {stylizer.provider}")
