"""Audio, subtitles, chapters and metadata: packets that pass from one file to another unchanged."""

from __future__ import annotations

import contextlib
import io
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import av.error

from styletransfer.core.errors import OutputError
from styletransfer.media.codecs import MUXERS
from styletransfer.media.video import open_container

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream


class StreamCopy:
    """Packets of a clip's audio and subtitles on their way into another file.

    Reads the clip a second time, in step with the frames, so that both kinds of packets lie beside
    each other in the output.
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
        output.metadata.update(_about_the_clip(source.metadata))
        for stream in source.streams:
            if stream.type in kinds:
                self._add(stream)
        with contextlib.suppress(av.error.FFmpegError, ValueError):
            output.set_chapters(source.chapters())
        wanted: list[Any] = [stream for stream in source.streams if stream.index in self._streams]
        self._packets = source.demux(*wanted) if wanted else iter(())
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
            if packet is None or (packet.size and packet.dts is not None):
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
                packet.stream = self._streams[packet.stream_index]
                self._output.mux_one(packet)
            self._next = self._read()
        if pts_s is None:
            for index in self._recoded:
                self._encode_again(index, None)

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


def sound_fits(clip: Path, suffix: str) -> bool:
    """Whether a file with this suffix can take the clip's sound, as it is where any container can.

    Raises:
        InputError: the clip cannot be read.
    """
    with open_container(clip) as source:
        return all(
            _holds(suffix, stream) or not any(_holds(other, stream) for other in MUXERS)
            for stream in source.streams.audio
        )


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
