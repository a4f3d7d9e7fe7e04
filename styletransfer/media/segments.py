"""Long clips in pieces: each a file of encoded packets, joined in the end without encoding anything again.

A segment holds a fixed number of frames and begins with a key frame that nothing before it is needed for, whoever
made it and whenever. It is written under another name, flushed to the disk and renamed, and carries its length and
a checksum, so that one that a power cut spoiled is noticed and made again.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import av.error
from av.codec.context import CodecContext
from av.codec.context import Flags as CodecFlags
from av.packet import Packet

from styletransfer.core.errors import InputError, OutputError
from styletransfer.core.files import atomic_path, explain_os_error
from styletransfer.media.codecs import EncoderSettings
from styletransfer.media.encoder import Encoder, decoding_times
from styletransfer.media.hardware import encoder_for

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

    from styletransfer.core.frames import Frame
    from styletransfer.media.encode import VideoWriter
    from styletransfer.media.format import VideoFormat

SEGMENT_FRAMES = 120
"""Frames a segment: what a killed run loses at most. Every run cuts at the same frames."""

_MAGIC = b"STSEG001"
_HEADER = struct.Struct("<qqI")  # time base, bytes of extradata
_PACKET = struct.Struct("<qq?I")  # pts, duration, key frame, bytes of data; the pts is _END_PTS in the last one
_TRAILER = struct.Struct("<II")  # packets, CRC-32 of all before
_END_PTS = -(2**63)


class DamagedSegmentError(InputError):
    """A segment's file that is not what was written."""


@dataclass(frozen=True)
class Segment:
    """One finished piece of a clip.

    Attributes:
        number: its place in the clip, from 0.
        first_frame: index of its first frame in the clip.
        frames: how many it holds.
        path: the file of packets.
    """

    number: int
    first_frame: int
    frames: int
    path: Path

    @property
    def last_frame(self) -> int:
        """Index of its last frame in the clip."""
        return self.first_frame + self.frames - 1


def segment_path(folder: Path, number: int) -> Path:
    """The file of a segment."""
    return folder / f"{number:06}.segment"


class SegmentWriter:
    """A sink that encodes the frames of a clip into one file of packets a segment.

    Frames are told apart by their ``index``; those before ``first_frame`` are passed over (they only warmed up
    a stage that remembers).

    Args:
        folder: where the files go.
        target: the clip's final name, whose suffix chooses the codec where the settings do not.
        format: size, clock and colours of the frames.
        settings: codec and quality.
        first_frame: index of the first frame that is missing, a multiple of ``segment_frames``.
        segment_frames: frames a segment.
        finished: called with every segment when its file is complete.

    Raises:
        OutputError: a file cannot be written, or the encoder refuses the frames.
    """

    def __init__(
        self,
        folder: Path,
        target: Path,
        format: VideoFormat,
        settings: EncoderSettings,
        *,
        first_frame: int = 0,
        segment_frames: int = SEGMENT_FRAMES,
        finished: Callable[[Segment], None] = lambda _: None,
    ) -> None:
        self.frames = 0
        self._folder = folder
        self._target = target
        self._format = format
        self._settings = settings
        self._next = first_frame
        self._segment_frames = segment_frames
        self._finished = finished
        self._open: _PacketFile | None = None

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._open is None:
            return
        if error is None:
            self._complete()
        else:
            part, self._open = self._open, None
            part.discard(error)

    def write(self, frame: Frame) -> None:
        """Encode one frame."""
        if frame.index < self._next:
            return
        if self._open is None:
            number = frame.index // self._segment_frames
            self._open = _PacketFile(segment_path(self._folder, number), self._target, self._format, self._settings)
        self._open.write(frame)
        self._next += 1
        self.frames += 1
        if self._next % self._segment_frames == 0:
            self._complete()

    def _complete(self) -> None:
        part, self._open = self._open, None
        assert part is not None
        frames = part.finish()
        first = self._next - frames
        self._finished(Segment(first // self._segment_frames, first, frames, part.path))


class _PacketFile:
    """A segment's file while it is written."""

    def __init__(self, path: Path, target: Path, format: VideoFormat, settings: EncoderSettings) -> None:
        self.path = path
        self._target = target
        self._crc = 0
        self._packets = 0
        self._exit = contextlib.ExitStack()
        with contextlib.ExitStack() as stack, self._explained():
            name, codec = settings.for_target(target)
            codec = encoder_for(name, codec, settings.hwaccel, (format.width, format.height))
            context = cast("VideoCodecContext", CodecContext.create(codec.encoder, "w"))
            context.flags |= CodecFlags.global_header  # as every container here wants it
            self._encoder = Encoder(context, format, codec, settings)
            context.open()
            temporary = stack.enter_context(atomic_path(path))
            self._file: IO[bytes] = stack.enter_context(temporary.open("wb"))
            extradata = bytes(context.extradata or b"")
            tick = format.time_base
            self._put(_MAGIC + _HEADER.pack(tick.numerator, tick.denominator, len(extradata)) + extradata)
            self._exit = stack.pop_all()

    def write(self, frame: Frame) -> None:
        with self._explained():
            self._add(self._encoder.encode(frame))

    def finish(self) -> int:
        """Complete the file; how many frames are in it."""
        with self._exit as stack, self._explained():
            self._add(self._encoder.flush())
            self._put(_PACKET.pack(_END_PTS, 0, False, 0))
            self._file.write(_TRAILER.pack(self._packets, self._crc))
            self._file.flush()
            os.fsync(self._file.fileno())
            stack.pop_all().close()
        return self._encoder.frames

    def discard(self, error: BaseException) -> None:
        self._exit.__exit__(type(error), error, error.__traceback__)

    def _add(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            data = bytes(packet)
            assert packet.pts is not None
            self._put(_PACKET.pack(packet.pts, packet.duration or 0, packet.is_keyframe, len(data)) + data)
            self._packets += 1

    def _put(self, data: bytes) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._file.write(data)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except av.error.FFmpegError as error:
            raise OutputError(
                f"{self._target}: the encoder failed ({error.strerror or error}); choose another --size or --codec"
            ) from error
        except OSError as error:
            raise explain_os_error(OSError(error.errno, error.strerror), self._target) from error


def check(segment: Segment) -> None:
    """Compare a segment's file with what was written; :class:`DamagedSegmentError` where it is not that."""
    if (held := sum(1 for _ in read(segment.path))) != segment.frames:
        raise DamagedSegmentError(f"{segment.path}: holds {held} packets, not {segment.frames}")


def read(path: Path) -> Iterator[Packet[Any]]:
    """The packets of a file, in decoding order, without decoding times.

    Raises:
        DamagedSegmentError: missing, cut off, or changed. Found at the end: what came before was wrong.
    """
    try:
        with path.open("rb") as file:
            reader = _Checked(file, path)
            tick, _ = _read_header(reader)
            count = 0
            while (head := _PACKET.unpack(reader.take(_PACKET.size)))[0] != _END_PTS:
                pts, duration, is_key_frame, size = head
                packet: Packet[Any] = Packet(reader.take(size))
                packet.pts, packet.duration, packet.time_base = pts, duration, tick
                packet.is_keyframe = is_key_frame
                count += 1
                yield packet
            crc = reader.crc
            if (count, crc) != _TRAILER.unpack(reader.take(_TRAILER.size)):
                raise DamagedSegmentError(f"{path}: the checksum is wrong")
    except OSError as error:
        raise DamagedSegmentError(f"{path}: cannot be read ({error.strerror or error})") from error


def _read_header(reader: _Checked) -> tuple[Fraction, bytes]:
    """Time base and extradata."""
    if reader.take(len(_MAGIC)) != _MAGIC:
        raise DamagedSegmentError(f"{reader.path}: is no segment")
    numerator, denominator, size = _HEADER.unpack(reader.take(_HEADER.size))
    if denominator <= 0:
        raise DamagedSegmentError(f"{reader.path}: the header is damaged")
    return Fraction(numerator, denominator), reader.take(size)


class _Checked:
    """Exact numbers of bytes out of a file, and their checksum."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.path = path
        self.crc = 0
        self._file = file
        self._left = os.fstat(file.fileno()).st_size

    def take(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:  # before a damaged length asks for more memory than there is
            raise DamagedSegmentError(f"{self.path}: is cut off")
        data = self._file.read(size)
        self.crc = zlib.crc32(data, self.crc)
        return data


def join(segments: Sequence[Segment], writer: VideoWriter, tick: Callable[[], None] = lambda: None) -> None:
    """Write the packets of all segments, in order, with decoding times for the whole clip.

    Args:
        segments: all of a clip, in order.
        writer: entered, with the settings that the segments were made with.
        tick: called before every segment; raises to stop.

    Raises:
        DamagedSegmentError: a file is not what was written, or was made by another encoder.
        OutputError: the result cannot be written.
    """
    pts: list[int] = []
    for segment in segments:
        tick()
        with contextlib.suppress(OSError), segment.path.open("rb") as file:
            if _read_header(_Checked(file, segment.path))[1] != writer.extradata:
                raise DamagedSegmentError(f"{segment.path}: was made by another version of the encoder")
        pts += [packet.pts or 0 for packet in read(segment.path)]
    stamps = iter(decoding_times(pts))
    for segment in segments:
        tick()
        for packet in read(segment.path):
            packet.dts = next(stamps)
            writer.write_packet(packet)
