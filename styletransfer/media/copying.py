"""Audio, subtitles, chapters and metadata: packets that pass from one file to another unchanged."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import av.error

from styletransfer.core.errors import OutputError
from styletransfer.media.codecs import MUXERS
from styletransfer.media.opening import first_video, is_cover, open_container

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream


DAMAGED_PACKET = (av.error.ArgumentError, av.error.InvalidDataError, av.error.PatchWelcomeError)
"""What a container raises that does not take a packet, of whichever stream: packets wait for each other in it."""


class StreamCopy:
    """Packets of a clip's audio and subtitles on their way into another file.

    Reads the clip a second time, in step with the frames, so that both kinds of packets lie beside
    each other in the output.

    Attributes:
        lost: packets that the output did not take.
    """

    def __init__(
        self,
        source: InputContainer,
        output: OutputContainer,
        target: Path,
        kinds: set[str],
        notes: list[str],
    ) -> None:
        self._output = output
        self._streams: dict[int, Stream] = {}
        self._recoded: dict[int, Any] = {}
        self._notes = notes
        self._target = target
        self._source_format = source.format.name
        self._earliest: dict[int, tuple[int, int]] = {}  # a stream's last decoding time, and where it ended
        self._moved = self.lost = 0
        output.metadata.update(_about_the_clip(source.metadata))
        shown = first_video(source, target)
        output.streams.video[0].metadata.update(_about_the_picture(shown.metadata))
        for stream in source.streams:
            if stream.type in kinds and not _is_empty(stream):
                self._add(stream)
            elif stream.type == "attachment":  # fonts of the subtitles
                self._attach(stream)
            elif stream.type == "video" and stream.index != shown.index:
                self._add_cover(stream, shown.index)
        with contextlib.suppress(av.error.FFmpegError, ValueError):
            output.set_chapters(source.chapters())
        wanted: list[Any] = [stream for stream in source.streams if stream.index in self._streams]
        self._packets: Iterator[Packet[Any]] = source.demux(*wanted) if wanted else iter(())
        self._next = self._read()

    def _add(self, stream: Stream) -> None:
        codec = stream.codec_context.name if stream.codec_context else "unknown"
        suffix = self._target.suffix.lower()
        if _holds(suffix, stream):
            copy = self._output.add_stream_from_template(stream)
        elif stream.type == "audio" and stream.codec_context and not any(_holds(s, stream) for s in MUXERS):
            copy = self._recode(stream)
            self._notes.append(
                f"{self._target}: no container here holds the clip's {codec} sound as it is; it was encoded "
                f"again as {copy.codec_context.name}"
            )
        elif stream.type == "audio":
            raise OutputError(
                f"{self._target}: a {suffix} file cannot hold the clip's {codec} sound; {way_out(self._target)}"
            )
        else:
            self._notes.append(
                f"{self._target}: {codec} subtitles do not fit into a {suffix} file and were left out; "
                "name the output .mkv to keep them"
            )
            return
        copy.metadata.update(_about_the_clip(stream.metadata))
        copy.disposition = stream.disposition
        self._streams[stream.index] = copy

    def _add_cover(self, stream: Stream, shown: int) -> None:
        """Copy a cover picture; another moving picture stays behind, with a word."""
        if is_cover(stream):
            if _holds(self._target.suffix.lower(), stream):
                copy = self._output.add_stream_from_template(stream)
                copy.metadata.update(stream.metadata)
                copy.disposition = stream.disposition
                self._streams[stream.index] = copy
        elif stream.frames != 1 or stream.index > shown:  # the still that an animated picture begins with is no loss
            self._notes.append(f"{self._target}: the clip holds more than one moving picture; the first was taken")

    def _attach(self, stream: Any) -> None:
        if self._target.suffix.lower() == ".mkv":
            self._output.add_attachment(stream.name or "", stream.mimetype or "", stream.data or b"")

    def _recode(self, stream: Stream) -> Stream:
        """An output stream for sound that has to be encoded again (Windows Media, ADPCM of old cameras)."""
        context: Any = stream.codec_context
        is_webm = self._target.suffix.lower() == ".webm"
        name, rate = ("libopus", 48_000) if is_webm else ("aac", context.sample_rate)
        output: Any = self._output.add_stream(name, rate=rate)
        unnamed = context.layout.name.endswith("channels")  # old containers give their number only
        layout = _LAYOUTS.get(context.layout.nb_channels, "stereo") if unnamed else context.layout.name
        output.codec_context.layout = layout
        output.codec_context.bit_rate = 96_000 * context.layout.nb_channels
        self._recoded[stream.index] = stream
        return cast("Stream", output)

    def _read(self) -> Packet[Any] | None:
        while True:
            try:
                packet = next(self._packets, None)
            except (av.error.FFmpegError, OSError):
                self._notes.append(f"{self._target}: the clip's sound is damaged; it ends where reading failed")
                return None
            except IndexError:  # PyAV's at the end of a recording in which a stream began late
                return None
            if packet is None:
                return packet
            if packet.dts is None and is_cover(packet.stream):
                packet.pts = packet.dts = 0
            if packet.size and packet.dts is not None:
                return packet

    def described(self) -> str:
        """The copied streams' codecs, as they complete "cannot hold h264"."""
        codecs = [s.codec_context.name for s in self._streams.values() if s.codec_context]
        return f" with {' and '.join(codecs)}" if codecs else ""

    def until(self, pts_s: Fraction | None) -> None:
        """Write the packets up to a time in seconds, or all that are left."""
        while (packet := self._next) is not None:
            assert packet.dts is not None
            if pts_s is not None and packet.dts * packet.time_base > pts_s:
                return
            if packet.stream_index in self._recoded:
                self._encode_again(packet.stream_index, packet)
            else:
                self._trim(packet)
                self._follow(packet)
                packet.stream = self._streams[packet.stream_index]
                self._write(packet)
            self._next = self._read()
        if pts_s is None:
            for index in self._recoded:
                self._encode_again(index, None)

    def _follow(self, packet: Packet[Any]) -> None:
        """Let a packet whose time does not grow follow its predecessor, as the frames do."""
        assert packet.dts is not None
        earliest = self._earliest.get(packet.stream_index)
        if earliest is not None and packet.dts <= earliest[0]:
            shift = max(earliest[0] + 1, earliest[1]) - packet.dts
            packet.dts += shift
            packet.pts = packet.dts if packet.pts is None else packet.pts + shift
            self._moved += 1
        self._earliest[packet.stream_index] = (packet.dts, packet.dts + (packet.duration or 0))

    def _write(self, packet: Packet[Any]) -> None:
        try:
            self._output.mux_one(packet)
        except DAMAGED_PACKET as error:
            if isinstance(error.__cause__, OSError):  # raised by our file: a full disk
                raise
            self.lost += 1

    def report(self) -> None:
        """Note what was moved or lost."""
        if self._moved:
            self._notes.append(
                f"{self._target}: {self._moved} packets of the sound had no usable time; they follow those before"
            )
        if self.lost:
            self._notes.append(f"{self._target}: {self.lost} packets of the sound are damaged and were left out")

    def _trim(self, packet: Packet[Any]) -> None:
        """End the last packet where the clip's own edit list ends it: in the middle, with most encoded sound."""
        source = packet.stream
        if source.duration is None or packet.pts is None or "mp4" not in self._source_format:
            return
        left = (source.start_time or 0) + source.duration - packet.pts
        if packet.duration and 0 < left < packet.duration:
            packet.duration = left

    def _encode_again(self, index: int, packet: Packet[Any] | None) -> None:
        """Decode a packet and encode what is in it; ``None`` flushes both."""
        output: Any = self._streams[index]
        frames: list[Any] = []
        with contextlib.suppress(av.error.InvalidDataError, av.error.EOFError):
            frames = self._recoded[index].decode(packet)
        for frame in frames:
            self._output.mux(output.encode(frame))
        if packet is None:
            self._output.mux(output.encode(None))


_LAYOUTS = {1: "mono", 2: "stereo", 4: "quad", 5: "5.0", 6: "5.1", 8: "7.1"}


def _about_the_clip(metadata: dict[str, str]) -> dict[str, str]:
    """Metadata without what describes the file or the encoder that it came from."""
    own = {"major_brand", "minor_version", "compatible_brands", "encoder", "rotate", "duration"}
    return {key: value for key, value in metadata.items() if key.lower() not in own}


def _about_the_picture(metadata: dict[str, str]) -> dict[str, str]:
    """Metadata of the picture's stream without figures that hold for the old one only."""
    old = ("_statistics", "number_of_", "bps", "duration")
    return {key: value for key, value in _about_the_clip(metadata).items() if not key.lower().startswith(old)}


def sound_fits(clip: Path, suffix: str) -> bool:
    """Whether a file with this suffix can take the clip's sound, as it is where any container can.

    Raises:
        InputError: the clip cannot be read.
    """
    with open_container(clip) as source:
        return all(
            _holds(suffix, stream) or not any(_holds(other, stream) for other in MUXERS)
            for stream in source.streams.audio
            if not _is_empty(stream)
        )


def _is_empty(stream: Stream) -> bool:
    """Whether a track is announced and nothing of it was found: damaged transport streams announce such."""
    context: Any = stream.codec_context
    return stream.type == "audio" and not (context and context.sample_rate)


def _holds(suffix: str, stream: Stream) -> bool:
    """Whether a file with this suffix can hold a stream; found by beginning one in memory."""
    output = av.open(io.BytesIO(), "w", format=MUXERS[suffix])
    try:
        output.add_stream_from_template(stream)
        output.start_encoding()
    except (ValueError, av.error.FFmpegError):
        return False
    finally:
        with contextlib.suppress(ValueError, av.error.FFmpegError):
            output.close()
    return True


def way_out(target: Path) -> str:
    """What to do when the clip's sound does not fit into ``target``."""
    if target.suffix.lower() == ".mkv":
        return "leave the sound out with --no-audio, or convert it to AAC first"
    return "name the output .mkv, or leave the sound out with --no-audio"
