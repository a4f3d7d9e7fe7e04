"""Media files and streams opened for reading, and one line where they are none."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
from av.stream import Disposition

from styletransfer.core.errors import InputError
from styletransfer.media.format import DEFAULT_RATE

if TYPE_CHECKING:
    from av.codec.hwaccel import HWAccel
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m2v", ".ts", ".mts", ".m2ts", ".wmv"}
    | {".flv", ".ogv", ".3gp", ".gif", ".mxf", ".y4m"}
)
"""Suffixes that a folder is searched for. A file that is named itself may have any."""

_MOST_FPS = 300
_OPEN_TIMEOUT_S = 6.0
_READ_TIMEOUT_S = 3.0
_NO_VIDEO_FORMATS = frozenset({"tty", "ansi"})  # FFmpeg draws text files as terminal screens


def open_container(source: Path | str, hwaccel: str = "") -> InputContainer:
    """Open a media file, or a URL (a ``str`` with ``://``), for reading.

    Args:
        source: the file or URL.
        hwaccel: device that decodes the video; empty decodes on the CPU.

    Raises:
        InputError: missing, empty, a pipe, unreadable, or no media file.
    """
    if isinstance(source, str) and "://" in source:
        return _open_url(source)
    path = Path(source)
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder, not a video file")
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is a pipe or a device, and clips are read more than once; save it as a file")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty (0 bytes)")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    try:
        # "file:" keeps FFmpeg from taking a name with a colon for a network address.
        container = av.open(f"file:{path}", "r", metadata_errors="replace", hwaccel=_decoding_on(hwaccel))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: damaged, cut off, or no video file ({reason})") from error
    name = container.format.name
    is_picture = name.endswith("_pipe") or name == "image2"
    if name in _NO_VIDEO_FORMATS or is_picture:
        container.close()
        if is_picture:
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
    """The first video stream that is no cover picture; the longest one where that is a still.

    Raises:
        InputError: there is none, or this PyAV build cannot decode it.
    """
    shown = [stream for stream in container.streams.video if not is_cover(stream)]
    if not shown:
        kinds = {"a cover picture" if is_cover(stream) else stream.type for stream in container.streams}
        held = f"only {' and '.join(sorted(kinds))}" if kinds else "nothing"
        raise InputError(f"{path}: there is no video stream in it, {held}")
    # An animated AVIF begins with a still, for programs that show no more.
    first = max(shown, key=lambda stream: stream.frames) if shown[0].frames == 1 else shown[0]
    if first.codec_context is None:
        raise InputError(f"{path}: its video codec is not known to this PyAV build; convert it to H.264")
    return first


def is_cover(stream: Stream) -> bool:
    """Whether a video stream is a cover picture."""
    return bool(Disposition.attached_pic & stream.disposition)


def announced_frames(container: InputContainer, stream: VideoStream) -> int:
    """How many frames the file says it has, 0 where it does not say."""
    if not stream.frames and container.duration and stream.average_rate:
        return round(container.duration / 1_000_000 * frame_rate(stream))
    return int(stream.frames)


def frame_rate(stream: VideoStream) -> Fraction:
    """Frames a second, on average, as far as the file knows it.

    Some files give the ticks of their clock as their rate: raw DV 60,000, Matroska with a varying rate 1,000. What
    FFmpeg finds in the first frames is nearer the truth then; real rates above 300 agree with it.
    """
    average, guessed = stream.average_rate, stream.guessed_rate
    if average and guessed and guessed < average and average > _MOST_FPS:
        return guessed
    return average or guessed or DEFAULT_RATE


def _decoding_on(device: str) -> HWAccel | None:
    if not device:
        return None
    from av.codec.hwaccel import HWAccel

    return HWAccel(device, allow_software_fallback=False)
