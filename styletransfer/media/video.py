"""Video files in: frames of the first video stream, upright, with exact time stamps.

Phones store portrait clips sideways with a display matrix beside them. The frames are turned here
and the output carries no matrix, so the network sees them upright and every player shows them so.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from styletransfer.core.errors import InputError, SettingsError
from styletransfer.core.frames import Frame
from styletransfer.media.format import (
    DEFAULT_RATE,
    FULL,
    LIMITED,
    SWSCALE_MATRIX,
    UNSPECIFIED,
    Turn,
    VideoFormat,
    colour_matrix,
    is_full_range,
    scaled_size,
)

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m2v", ".ts", ".mts", ".m2ts", ".wmv"}
    | {".flv", ".ogv", ".3gp", ".gif", ".mxf", ".y4m"}
)
"""Suffixes that a folder is searched for. A file that is named itself may have any."""

_OPEN_TIMEOUT_S = 6.0
_READ_TIMEOUT_S = 3.0
_NO_VIDEO_FORMATS = frozenset({"tty", "ansi"})  # FFmpeg draws text files as terminal screens
_DURATION_TOLERANCE_S = 1


class VideoReader:
    """Frames of a video file: a context manager and an iterator, good for one pass.

    Args:
        path: the file, or the URL of a stream.
        longer_side: scale the frames so that the longer side has this many pixels (both sides are
            rounded to even numbers); ``None`` keeps the size.

    Attributes:
        format: size, clock and colours of the frames that come out.
        frames: number of frames that the file announces, 0 where it does not say.
        is_live: a stream without an end, whose frames come at their own pace.
        warnings: after the last frame: what was damaged or missing, one sentence each.

    Raises:
        InputError: no such file, no video in it, or not one frame that can be decoded.
        SettingsError: ``longer_side`` is smaller than 16.
    """

    def __init__(self, path: Path | str, longer_side: int | None = None) -> None:
        if longer_side is not None and longer_side < 16:
            raise SettingsError(f"--size is {longer_side}; it must be at least 16 pixels")
        self.path = path
        self.warnings: list[str] = []
        self._container = open_container(self.path)
        try:
            self._stream = first_video(self._container, self.path)
            self._stream.thread_type = "AUTO"
            self._damaged_packets = 0
            self._end_s = 0.0
            self._packets = 0
            self._corrupt = False
            self._decoded = self._decode()
            self._first = next(self._decoded, None)
            if self._first is None:
                raise InputError(f"{self.path}: no frame of it can be decoded; the file is damaged, encrypted or empty")
            self._turn = Turn.of(self._first)
            self._source_wh = (self._first.width, self._first.height)
            self._scaled_wh = scaled_size(self._source_wh, longer_side)
            self._matrix = colour_matrix(int(self._first.colorspace), self._source_wh)
            self._reformatter = VideoReformatter()
            self.format = self._describe(self._first, resized=longer_side is not None)
        except BaseException:
            self._container.close()
            raise
        self.is_live = isinstance(path, str) and "://" in path and not self._container.duration
        self.frames = int(self._stream.frames)
        if not self.frames and self._container.duration and self._stream.average_rate:
            self.frames = round(self._container.duration / 1_000_000 * self._stream.average_rate)

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self._decoded.close()
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        """The frames, from the first to the last one that can be read.

        A frame without a time stamp, or with one that does not grow, follows its predecessor by one
        frame's time.
        """
        assert self._first is not None
        interval = 1 / self.format.rate
        last: Fraction | None = None
        repaired = 0
        first, self._first = self._first, None
        index = -1
        for index, decoded in enumerate(itertools.chain([first], self._decoded)):
            tick = decoded.time_base or self.format.time_base
            duration = decoded.duration * tick if decoded.duration else interval
            stamp = self._stamp(decoded)
            if stamp is not None and (last is None or stamp * tick > last):
                pts = stamp * tick
            else:
                ticks = max(1, round(interval / tick))
                pts = Fraction(0) if last is None else last + ticks * tick
                repaired += index > 0
            self._corrupt |= decoded.is_corrupt
            yield Frame(self._to_rgb(decoded), pts, duration, index)
            last = pts
        self._report(index + 1, repaired)

    def _decode(self) -> Generator[VideoFrame]:
        """Decoded frames; what cannot be read is skipped and counted."""
        packets = self._container.demux()
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError):
                self._damaged_packets += 1
                packet = None
            if packet is None:
                break
            if packet.pts is not None and packet.time_base:
                self._end_s = max(self._end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream_index != self._stream.index:
                continue
            if packet.size:
                self._packets += 1
                self._corrupt |= packet.is_corrupt
            yield from self._frames_of(packet)
        yield from self._frames_of(None)

    def _frames_of(self, packet: Any) -> list[VideoFrame]:
        try:
            return self._stream.decode(packet)
        except EOFError:
            return []
        except (av.error.FFmpegError, OSError):
            self._damaged_packets += 1
            return []

    def _stamp(self, decoded: VideoFrame) -> int | None:
        # AVI stores no presentation times: what FFmpeg calls pts there is out of order with B-frames.
        if self._container.format.name == "avi" and decoded.dts is not None:
            return decoded.dts
        return decoded.pts if decoded.pts is not None else decoded.dts

    def _to_rgb(self, decoded: VideoFrame) -> NDArray[np.uint8]:
        width, height = self._scaled_wh
        same_size = (decoded.width, decoded.height) == self._scaled_wh
        rgb = self._reformatter.reformat(
            decoded,
            width=width,
            height=height,
            format="rgb24",
            interpolation=Interpolation.BILINEAR if same_size else Interpolation.AREA,
            src_colorspace=SWSCALE_MATRIX[self._matrix],
            src_color_range=FULL if is_full_range(decoded) or decoded.format.is_rgb else LIMITED,
            dst_color_range=FULL,
        )
        frame_hwc: Any = rgb.to_ndarray()  # uint8, as rgb24 is
        return self._turn.apply(frame_hwc)

    def _describe(self, first: VideoFrame, resized: bool) -> VideoFormat:
        stream = self._stream
        width, height = self._scaled_wh
        pixel = stream.sample_aspect_ratio or Fraction(1)
        if pixel <= 0:
            pixel = Fraction(1)
        # The scaled size is rounded to even numbers: let the shape of the pixels make up for it.
        pixel *= Fraction(self._source_wh[0] * height, self._source_wh[1] * width)
        if self._turn.transposed:
            width, height, pixel = height, width, 1 / pixel
        rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
        tag = int(first.colorspace)
        if tag not in SWSCALE_MATRIX and (resized or tag != UNSPECIFIED):
            tag = self._matrix  # players would guess by the new size, or read a matrix that is gone
        color_range = 0 if first.format.is_rgb else int(first.color_range)
        return VideoFormat(
            width=width,
            height=height,
            time_base=stream.time_base or 1 / rate,
            rate=rate,
            sample_aspect_ratio=pixel.limit_denominator(10_000),
            colorspace=tag,
            color_range=FULL if is_full_range(first) and not first.format.is_rgb else color_range,
            color_trc=int(first.color_trc),
            color_primaries=int(first.color_primaries),
        )

    def _report(self, frames: int, repaired: int) -> None:
        if self._damaged_packets or self._corrupt:
            self.warnings.append(f"{self.path}: damaged in places; the {frames} readable frames were kept")
        elif missing := self._missing():
            self.warnings.append(f"{self.path}: cut off ({missing}); the {frames} readable frames were kept")
        if repaired:
            self.warnings.append(
                f"{self.path}: {repaired} frames had no usable time stamp; they follow at the average rate"
            )

    def _missing(self) -> str:
        """What the file announces and does not hold, empty where all is there."""
        if "mp4" in self._container.format.name:
            announced = len(self._stream.index_entries)
            return f"{self._packets} of {announced} frames are there" if self._packets < announced else ""
        duration_us, start_us = self._container.duration, self._container.start_time or 0
        if duration_us is None:
            return ""
        end_s = (start_us + duration_us) / 1e6
        if self._end_s + _DURATION_TOLERANCE_S >= end_s:
            return ""
        return f"{self._end_s:.1f} of {end_s:.1f} seconds are there"


def open_container(source: Path | str) -> InputContainer:
    """Open a media file, or a URL (a ``str`` with ``://``), for reading.

    Raises:
        InputError: missing, empty, unreadable, or no media file.
    """
    if isinstance(source, str) and "://" in source:
        return _open_url(source)
    path = Path(source)
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder, not a video file")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty (0 bytes)")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    try:
        # "file:" keeps FFmpeg from taking a name with a colon for a network address.
        container = av.open(f"file:{path}", "r", metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: damaged, cut off, or no video file ({reason})") from error
    if container.format.name in _NO_VIDEO_FORMATS or container.format.name.endswith("_pipe"):
        name = container.format.name
        container.close()
        if name.endswith("_pipe"):
            raise InputError(f"{path}: is a picture, not a video; use `styletransfer stylize` for it")
        raise InputError(f"{path}: is a text file, not a video")
    return container


def _open_url(url: str) -> InputContainer:
    try:
        return av.open(url, "r", metadata_errors="replace", timeout=(_OPEN_TIMEOUT_S, _READ_TIMEOUT_S))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{url}: the stream cannot be opened ({reason})") from error


def first_video(container: InputContainer, path: Path | str) -> VideoStream:
    """The first video stream that is no cover picture.

    Raises:
        InputError: there is none, or this PyAV build cannot decode it.
    """
    for stream in container.streams.video:
        if "attached_pic" in str(stream.disposition):
            continue
        if stream.codec_context is None:
            raise InputError(f"{path}: its video codec is not known to this PyAV build; convert it to H.264")
        return stream
    kinds = sorted({stream.type for stream in container.streams})
    held = f"only {' and '.join(kinds)}" if kinds else "nothing"
    raise InputError(f"{path}: there is no video stream in it, {held}")
