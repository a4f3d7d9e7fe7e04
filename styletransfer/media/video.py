"""Video files in: frames of the first video stream, upright, with exact time stamps.

Phones store portrait clips sideways with a display matrix beside them. The frames are turned here
and the output carries no matrix, so the network sees them upright and every player shows them so.
"""

# Longer than 300 lines: one reader, whose seeking and whose words about damage go by what it has read.

from __future__ import annotations

import collections
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import av.error

from styletransfer.core.errors import InputError, SettingsError
from styletransfer.core.frames import Frame
from styletransfer.media.convert import Deinterlacer, RgbConverter
from styletransfer.media.holes import Hole, find_holes, has_long_step
from styletransfer.media.opening import VIDEO_SUFFIXES, announced_frames, first_video, frame_rate, open_container

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["VIDEO_SUFFIXES", "Mark", "VideoReader", "first_video", "open_container"]

_DURATION_TOLERANCE_S = 1.0  # most containers know their length from the bit rate
_EXACT_DURATION_TOLERANCE_S = 0.25  # Matroska writes it down
_SEEK_BACK_S = (0, 5, 30)  # where the nearest key frame does not do: how much earlier to try
_AFTER_SEEK = -(2**63)  # stands for the decoding time of the packet that comes first after a seek


@dataclass(frozen=True)
class Mark:
    """A frame that a later reader of the same clip finds again.

    Attributes:
        index: number of the frame in the clip.
        pts_s: its time.
        checksum: CRC-32 of its RGB picture; ``None`` where nobody has decoded it yet (see ``media.scan``).
        is_clean: nothing before it was damaged or repaired, so reading may begin at a key frame.
    """

    index: int
    pts_s: Fraction
    checksum: int | None
    is_clean: bool


class VideoReader:
    """Frames of a video file: a context manager and an iterator, good for one pass.

    Args:
        path: the file, or the URL of a stream.
        longer_side: scale the frames so that the longer side has this many pixels (both sides are
            rounded to even numbers); ``None`` keeps the size.
        mark_every: leave a mark at the last of every so many frames; 0 for none.
        hwaccel: device that decodes, one of ``hardware.devices()``; empty decodes on the CPU.

    Attributes:
        format: size, clock and colours of the frames that come out.
        frames: number of frames that the file announces, 0 where it does not say.
        is_live: a stream without an end, whose frames come at their own pace.
        marks: frames by which :meth:`skip_to` of a later reader finds its place, by index.
        found: the marked frame as :meth:`skip_to` found it; ``None`` where all was decoded from the first frame on.
        is_at_end: whether the iteration has come to the last frame, so that ``warnings`` are complete.
        warnings: after the last frame: what was damaged or missing, one sentence each.

    Raises:
        InputError: no such file, no video in it, or not one frame that can be decoded.
        SettingsError: ``longer_side`` is smaller than 16.
    """

    def __init__(
        self, path: Path | str, longer_side: int | None = None, *, mark_every: int = 0, hwaccel: str = ""
    ) -> None:
        if longer_side is not None and longer_side < 16:
            raise SettingsError(f"--size is {longer_side}; it must be at least 16 pixels")
        self.path = path
        self.warnings: list[str] = []
        self.marks: dict[int, Mark] = {}
        self.found: Mark | None = None
        self.is_at_end = False
        self._mark_every = mark_every
        self._hwaccel = hwaccel
        self._before: collections.deque[VideoFrame] = collections.deque()
        self._start = self._first_index = 0
        self._end: int | None = None
        first = self._open()
        try:
            self._to_rgb = RgbConverter(first, longer_side)
            self.format = self._to_rgb.describe(first, self._stream, frame_rate(self._stream))
        except BaseException:
            self._container.close()
            raise
        self.is_live = isinstance(path, str) and "://" in path and not self._container.duration
        self.frames = announced_frames(self._container, self._stream)

    def _open(self) -> VideoFrame:
        """Open the file and decode the first frame, which waits in ``_before``."""
        self._container = open_container(self.path, hwaccel=self._hwaccel)
        try:
            self._stream = first_video(self._container, self.path)
            self._stream.thread_type = "AUTO"
            self._damaged_packets = self._packets = 0
            self._end_s = 0.0
            self._corrupt = False
            self._sought_dts: int | None = None
            self._deinterlacer = Deinterlacer()
            self._decoded = self._decode()
            self._frames = self._deinterlacer.frames(self._decoded)
            first = next(self._frames, None)
            if first is None:
                raise InputError(f"{self.path}: no frame of it can be decoded; the file is damaged, encrypted or empty")
        except BaseException:
            self._container.close()
            raise
        self._before.clear()
        self._before.append(first)
        return first

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self._frames.close()
        self._decoded.close()
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        """The frames, from the first to the last one that can be read.

        A frame without a time stamp, or with one that does not grow, follows its predecessor by one
        frame's time.
        """
        interval = 1 / self.format.rate
        last: Fraction | None = None
        times_s: list[float] = []  # filled only where a gap means something: a camera's stream has no end
        if self._hides_gaps and self.found and self._first_index:
            times_s.append(float(self.found.pts_s))
        repaired, may_have_holes = 0, False
        index = self._first_index - 1
        for index, decoded in enumerate(self._all(), self._first_index):
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
            last = pts
            if self._hides_gaps:
                times_s.append(float(pts))
            if index < self._start:
                continue
            frame = Frame(self._to_rgb(decoded), pts, duration, index)
            if self._mark_every and (index + 1) % self._mark_every == 0:
                # The whole line is looked at only where its newest stretch gives cause: clips can be hours long.
                may_have_holes = may_have_holes or has_long_step(times_s[-self._mark_every - 1 :])
                is_whole = not (may_have_holes and find_holes(times_s))
                is_clean = not repaired and self._is_clean and is_whole
                self.marks[index] = Mark(index, pts, crc32(frame.frame_hwc.data), is_clean)
            yield frame
            if index + 1 == self._end:
                return
        self.is_at_end = True
        self._report(index + 1, repaired, times_s)

    def _all(self) -> Iterator[VideoFrame]:
        while self._before:
            yield self._before.popleft()
        yield from self._frames

    @property
    def _is_clean(self) -> bool:
        """Nothing was damaged so far, and every frame depends on those since the last key frame only."""
        return not (self._damaged_packets or self._corrupt or self._deinterlacer.is_needed)

    def stop_before(self, index: int) -> None:
        """End the iteration before frame ``index`` instead of behind the last one; nothing is reported then."""
        self._end = index

    def skip_to(self, index: int, mark: Mark | None = None, tick: Callable[[], None] = lambda: None) -> None:
        """Begin the iteration with frame ``index``, instead of the first.

        Args:
            index: number of the frame.
            mark: a mark of an earlier reader of the same clip, at ``index - 1`` or later. Reading then begins at a
                key frame near it, and the marked frame is compared with what it was; without a mark, or where the
                comparison fails, all frames before are decoded. Of a mark without a checksum only the time is
                compared: ``found`` is then for the caller to check.
            tick: called now and then; raises to stop.
        """
        self._start = index
        if mark is None or not mark.is_clean or index == 0:
            return
        for earlier_s in _SEEK_BACK_S:
            tick()
            if self._seek(index, mark, earlier_s):
                self._first_index = index
                return
        self.found = None
        self._container.close()
        self._open()

    def _seek(self, index: int, mark: Mark, earlier_s: int) -> bool:
        """Whether reading can begin at a key frame before ``mark``; the frames from ``index`` on then wait."""
        tick = self._stream.time_base
        wanted = mark.index - index + 1
        self._before.clear()
        try:
            assert tick is not None
            self._container.seek(int((mark.pts_s - earlier_s) / tick), stream=self._stream)
        except (av.error.FFmpegError, OSError):
            return False
        self._sought_dts, self._packets = _AFTER_SEEK, 0
        self._decoded = self._decode()
        self._frames = self._deinterlacer.frames(self._decoded)
        for count, decoded in enumerate(self._frames, 1):
            stamp = self._stamp(decoded)
            pts = None if stamp is None else stamp * (decoded.time_base or tick)
            if pts is None or pts > mark.pts_s or not self._is_clean:
                return False
            self._before.append(decoded)
            if len(self._before) > wanted:
                self._before.popleft()
            if pts == mark.pts_s:
                self.found = Mark(mark.index, pts, crc32(self._to_rgb(decoded).data), True)
                return count >= wanted and mark.checksum in (None, self.found.checksum)
        return False

    def _decode(self) -> Generator[VideoFrame]:
        """Decoded frames; what cannot be read is skipped and counted."""
        packets = self._container.demux()
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError):
                self._damaged_packets += 1
                packet = None
            except IndexError:  # PyAV's at the end of a recording in which a stream began late
                packet = None
            if packet is None:
                break
            if packet.pts is not None and packet.time_base:
                self._end_s = max(self._end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream_index != self._stream.index:
                continue
            if packet.size:
                self._packets += 1
                if self._sought_dts == _AFTER_SEEK:
                    self._sought_dts = packet.dts
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

    def _report(self, frames: int, repaired: int, times_s: list[float]) -> None:
        if self._to_rgb.note:
            self.warnings.append(f"{self.path}: is {self._to_rgb.note}")
        if self._to_rgb.other_wh:
            first, other = (f"{width}x{height}" for width, height in (self._to_rgb.source_wh, self._to_rgb.other_wh))
            self.warnings.append(f"{self.path}: goes on in {other} after {first}; all frames were scaled to one size")
        if self._deinterlacer.is_needed:
            self.warnings.append(f"{self.path}: is interlaced; whole pictures were made of its half pictures")
        holes, missing = find_holes(times_s), self._missing()
        troubles = ["damaged in places"] if self._damaged_packets or self._corrupt else []
        troubles += [_describe(holes)] if holes else []
        troubles += [f"cut off ({missing})"] if missing else []
        if troubles:
            places = ", in their places" if holes else ""
            kept = f"the {frames} readable frames were kept{places}"
            self.warnings.append(f"{self.path}: {', '.join(troubles)}; {kept}")
        if repaired:
            self.warnings.append(
                f"{self.path}: frames without usable time stamp ({repaired}) follow the one before at the average rate"
            )

    @property
    def _hides_gaps(self) -> bool:
        """Whether the format's reader passes over what is damaged: elsewhere a pause is a pause."""
        return "matroska" in self._container.format.name

    def _missing(self) -> str:
        """What the file announces and does not hold, empty where all is there."""
        if "mp4" in self._container.format.name:
            entries = self._stream.index_entries
            since = self._sought_dts
            announced = len(entries) if since is None else sum(entry.timestamp >= since for entry in entries)
            return f"{self._packets} of {announced} frames are there" if self._packets < announced else ""
        duration_us, start_us = self._container.duration, self._container.start_time or 0
        if duration_us is None:
            return ""
        is_exact = "matroska" in self._container.format.name
        end_s = (duration_us if is_exact else start_us + duration_us) / 1e6  # FFmpeg's Matroska says when it ends
        if self._end_s + (_EXACT_DURATION_TOLERANCE_S if is_exact else _DURATION_TOLERANCE_S) >= end_s:
            return ""
        return f"{self._end_s:.1f} of {end_s:.1f} seconds are there"


def _describe(holes: list[Hole]) -> str:
    frames, first = sum(hole.frames for hole in holes), f"at {holes[0].start_s:.2f} s"
    place = first if len(holes) == 1 else f"in {len(holes)} places, the first {first}"
    return f"a gap of {frames} frame{'s' * (frames > 1)} {place}"
