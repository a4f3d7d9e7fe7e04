"""One clip with one style into one file: in one go, or in segments that a killed run need not make again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from styletransfer.cli.chains import Restorers
from styletransfer.cli.stages import Look, SegmentedStage, stage_factory
from styletransfer.core.errors import OutputError

if TYPE_CHECKING:
    from styletransfer.media.codecs import EncoderSettings
    from styletransfer.media.format import VideoFormat
    from styletransfer.media.journal import Entry, Journal
    from styletransfer.media.segments import Segment
    from styletransfer.media.video import Mark, VideoReader
    from styletransfer.runtime.chain import Chain


@dataclass(frozen=True)
class ClipOptions:
    """What holds for every clip of one run.

    Attributes:
        look: how the results look.
        size: longer side in pixels; ``None`` as the clip.
        audio: copy the sound.
        encoder: how frames are compressed.
        hwaccel: device that decodes; ``auto`` for any that can, empty for the CPU.
        segment_frames: frames a segment of a long clip.
        restorers: what cleans a frame before the style and enlarges it after.
    """

    look: Look
    size: int | None
    audio: bool
    encoder: EncoderSettings
    hwaccel: str = ""
    segment_frames: int = 120
    restorers: Restorers = field(default_factory=Restorers)


@dataclass(frozen=True)
class ClipResult:
    """What was made.

    Attributes:
        frames: of the whole clip.
        stylized: frames that this run stylized, fewer than ``frames`` where an earlier one had begun.
        seconds: that this run took.
        provider: that stylized them; empty where all had been stylized before.
        warnings: what could not be kept or read, one sentence each.
    """

    frames: int
    stylized: int
    seconds: float
    provider: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Rest:
    """What was made to complete a clip's segments.

    Attributes:
        segments: all of the clip's, in order.
        stylized: frames that were stylized for it.
        provider: that stylized them.
        format: of the result's frames.
        warnings: about the clip, one sentence each.
    """

    segments: list[Segment]
    stylized: int
    provider: str
    format: VideoFormat
    warnings: list[str] = field(default_factory=list)


RestMaker = Callable[["list[Segment]", "Mark | None"], Rest]
"""Given the finished segments from the first on, and where the clip goes on after them, makes the others."""

Progress = Callable[[int], None]
"""Called with the number of frames that are done, and often in between; raises to stop."""


def stylize_clip(source: Path, target: Path, chain: Chain, options: ClipOptions, progress: Progress) -> ClipResult:
    """Stylize a clip in one go; the target appears when it is complete.

    Raises:
        InputError: the clip cannot be read.
        OutputError: the target cannot be written.
        ModelError: the network fails on the frames.
    """
    from styletransfer.media.encode import VideoWriter
    from styletransfer.media.format import enlarged
    from styletransfer.media.hardware import decoder_for
    from styletransfer.media.video import VideoReader
    from styletransfer.runtime import pipeline

    started = time.perf_counter()
    device = decoder_for(source, options.hwaccel)
    with VideoReader(source, longer_side=options.size, hwaccel=device) as reader:
        warm_up(chain, reader)
        format = enlarged(reader.format, options.restorers.scale)
        writer = VideoWriter(target, format, options.encoder, copy_from=source, copy_audio=options.audio)
        pipeline.run(
            reader,
            SegmentedStage(stage_factory(chain, options.look)),
            writer,
            written=lambda: progress(writer.frames),
            idle=lambda: progress(writer.frames),
        )
        warnings = (*reader.warnings, *writer.notes)
    return ClipResult(writer.frames, writer.frames, time.perf_counter() - started, chain.provider, warnings)


def stylize_in_segments(
    source: Path,
    make_rest: RestMaker,
    options: ClipOptions,
    journal: Journal,
    entry: Entry,
    progress: Progress,
) -> ClipResult:
    """Stylize a clip segment by segment, from where an earlier run stopped, and join the segments.

    Args:
        source: the clip.
        make_rest: makes the segments that are missing; not called where all are there.
        options: as the earlier run had them: the entry's key stands for them.
        journal: where segments are noted.
        entry: the result's place in the journal.
        progress: see :data:`Progress`.

    Raises:
        InputError: the clip cannot be read.
        OutputError: the result or a segment cannot be written.
        ModelError: the network fails on the frames.
    """
    from styletransfer.media.segments import DamagedSegmentError

    started = time.perf_counter()
    segments, mark = _sound_segments(journal, entry, options, progress)
    frames, warnings = entry.frames, list(entry.warnings)
    stylized, provider, format = 0, "", None
    if entry.status != "stylized" or sum(segment.frames for segment in segments) != entry.frames:
        rest = make_rest(segments, mark)
        segments, warnings, format = rest.segments, rest.warnings, rest.format
        stylized, provider = rest.stylized, rest.provider
        frames = sum(segment.frames for segment in segments)
        journal.stylized(entry, frames, warnings)
    try:
        notes = _join(source, entry.target, options, segments, format, progress)
    except DamagedSegmentError as error:
        journal.drop_segments(entry.key, 0)
        raise OutputError(f"{entry.target}: {error}; run the command again to make the segments anew") from error
    warnings += notes
    seconds = time.perf_counter() - started
    journal.done(entry, frames, warnings)
    return ClipResult(frames, stylized, seconds, provider, tuple(warnings))


def _sound_segments(
    journal: Journal, entry: Entry, options: ClipOptions, progress: Progress
) -> tuple[list[Segment], Mark | None]:
    """The finished segments that can be used, from the first on, and where the clip goes on after them."""
    from styletransfer.media import segments

    sound: list[Segment] = []
    mark = None
    frames = 0
    for kept in journal.segments(entry.key):
        segment = kept.segment
        progress(frames)
        is_last = segment.frames != options.segment_frames
        try:
            if is_last and entry.status != "stylized":
                raise segments.DamagedSegmentError("not known to be the last one")
            segments.check(segment)
        except segments.DamagedSegmentError:
            journal.drop_segments(entry.key, segment.number)
            break
        sound.append(segment)
        mark = kept.mark
        frames += segment.frames
    return sound, mark


def stylize_rest(
    source: Path,
    chain: Chain,
    options: ClipOptions,
    journal: Journal,
    entry: Entry,
    progress: Progress,
    segments: list[Segment],
    mark: Mark | None,
) -> Rest:
    """Make the segments that are missing in this process, one after the other; see :data:`RestMaker`."""
    from styletransfer.media.format import enlarged
    from styletransfer.media.hardware import decoder_for
    from styletransfer.media.journal import Kept
    from styletransfer.media.segments import SegmentWriter
    from styletransfer.media.video import VideoReader
    from styletransfer.runtime import pipeline

    first = sum(segment.frames for segment in segments)
    factory = stage_factory(chain, options.look)
    length = options.segment_frames
    device = decoder_for(source, options.hwaccel)
    with VideoReader(source, options.size, mark_every=length, hwaccel=device) as reader:
        format = enlarged(reader.format, options.restorers.scale)
        check_target(source, entry.target, format, options)
        reader.skip_to(max(0, first - factory.warm_up_frames), mark, tick=lambda: progress(first))
        warm_up(chain, reader)

        def finished(segment: Segment) -> None:
            journal.add_segment(entry, Kept(segment, reader.marks.get(segment.last_frame)))
            segments.append(segment)

        folder = journal.segment_folder(entry.key)
        writer = SegmentWriter(
            folder,
            entry.target,
            format,
            options.encoder,
            first_frame=first,
            segment_frames=length,
            finished=finished,
        )
        pipeline.run(
            reader,
            SegmentedStage(factory, length, first),
            writer,
            written=lambda: progress(first + writer.frames),
            idle=lambda: progress(first + writer.frames),
        )
        warnings = list(reader.warnings)
    return Rest(segments, writer.frames, chain.provider, format, warnings)


def _join(
    source: Path,
    target: Path,
    options: ClipOptions,
    segments: list[Segment],
    format: VideoFormat | None,
    progress: Progress,
) -> list[str]:
    from styletransfer.media.encode import VideoWriter
    from styletransfer.media.format import enlarged
    from styletransfer.media.segments import join
    from styletransfer.media.video import VideoReader

    frames = sum(segment.frames for segment in segments)
    if format is None:
        with VideoReader(source, options.size) as reader:
            format = enlarged(reader.format, options.restorers.scale)
    with VideoWriter(target, format, options.encoder, copy_from=source, copy_audio=options.audio) as writer:
        join(segments, writer, tick=lambda: progress(frames))
    return writer.notes


class _Enough(Exception):  # noqa: N818 - no error
    pass


def check_target(source: Path, target: Path, format: VideoFormat, options: ClipOptions) -> None:
    """Begin the result and throw it away: what cannot be written is better said before the work."""
    import contextlib

    from styletransfer.media.encode import VideoWriter

    writer = VideoWriter(target, format, options.encoder, copy_from=source, copy_audio=options.audio)
    with contextlib.suppress(_Enough), writer:
        raise _Enough


def warm_up(chain: Chain, reader: VideoReader) -> None:
    """Prepare the networks for a clip's size, where that makes them faster."""
    # Also where a faster provider would be found on the way: a clip is not to change in its middle.
    if chain.provider != "cpu" or chain.gains_from_warm_up:
        chain.warm_up(reader.format.height, reader.format.width)
