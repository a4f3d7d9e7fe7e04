"""Video files out: encoded frames with their exact time stamps."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import av
import av.error

from styletransfer.core.errors import OutputError
from styletransfer.core.files import atomic_path, explain_os_error
from styletransfer.core.frames import Frame
from styletransfer.media.codecs import MUXERS, EncoderSettings
from styletransfer.media.copying import DAMAGED_PACKET, StreamCopy
from styletransfer.media.encoder import Encoder, is_odd
from styletransfer.media.format import VideoFormat
from styletransfer.media.hardware import encoder_for
from styletransfer.media.opening import open_container

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_MOST_TICKS = 1_000_000  # a second: films of an hour then still fit in 32 bits


class VideoWriter:
    """Encodes frames into a file that appears, complete, when the ``with`` block ends without error.

    Args:
        target: the file; its suffix chooses the container.
        format: size, clock and colours of the frames.
        settings: codec and quality.
        copy_from: a clip whose audio, subtitles, chapters and metadata are copied, bit-exact.
        copy_audio: ``False`` leaves the audio out.

    Attributes:
        notes: what could not be kept, one sentence each.

    Raises:
        OutputError: the file cannot be written, or its container cannot hold the codec or the audio.
        SettingsError: a setting outside its range.
    """

    def __init__(
        self,
        target: Path,
        format: VideoFormat,
        settings: EncoderSettings = EncoderSettings(),  # frozen
        copy_from: Path | None = None,
        copy_audio: bool = True,
    ) -> None:
        self.target = Path(target)
        self.format = format
        self.notes: list[str] = []
        self.frames = 0
        self._codec_name, codec = settings.for_target(self.target)
        self._codec = encoder_for(self._codec_name, codec, settings.hwaccel, (format.width, format.height))
        self._settings = settings
        self._copy_from = copy_from
        self._copy_kinds = {"audio", "subtitle"} if copy_audio else {"subtitle"}
        self._copy: StreamCopy | None = None
        self._encoder: Encoder | None = None
        self._has_packets = False
        self._exit = contextlib.ExitStack()
        self._file: IO[bytes] | None = None
        self._container: OutputContainer | None = None

    def __enter__(self) -> VideoWriter:
        with contextlib.ExitStack() as stack, self._explained():
            temporary = stack.enter_context(atomic_path(self.target))
            # Through a Python file, because FFmpeg's own loses the error of the last write (full disk).
            self._file = stack.enter_context(temporary.open("wb"))
            source = None if self._copy_from is None else stack.enter_context(open_container(self._copy_from))
            muxer = MUXERS[self.target.suffix.lower()]
            options = self._muxer_options(muxer, source)
            self._container = av.open(self._file, "w", format=muxer, container_options=options)
            stack.callback(self._drop_container)
            self._stream = self._add_video(self._container)
            if source is not None:
                self._copy = StreamCopy(source, self._container, self.target, self._copy_kinds, self.notes)
            self._container.start_encoding()
            self._exit = stack.pop_all()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is not None:
            self._exit.__exit__(kind, error, trace)
            return
        with self._exit as stack, self._explained():
            assert self._container is not None and self._file is not None
            if not self._has_packets:
                assert self._encoder is not None
                self._mux(self._encoder.flush())
            if self._copy is not None:
                self._copy.until(None)
            with self._forgiving():
                self._container.close()
            self._file.flush()
            if self._copy is not None:
                self._copy.report()
                if self._copy.lost:
                    self._count_packets()
            os.fsync(self._file.fileno())  # or a power cut could leave an empty file under the final name
            stack.pop_all().close()

    def write(self, frame: Frame) -> None:
        """Encode one frame of the format's size; time stamps must grow.

        Raises:
            OutputError: the disk is full, or the encoder refuses the frame.
        """
        assert self._encoder is not None, "used outside its with block"
        with self._explained():
            packets = self._encoder.encode(frame)
            if self._copy is not None:
                self._copy.until(frame.pts_s)
            self._mux(packets)
        self.frames += 1

    def write_packet(self, packet: Packet[Any]) -> None:
        """Add a packet that an encoder of the same settings made; decoding times must grow.

        Raises:
            OutputError: the disk is full, or the container refuses the packet.
        """
        assert packet.dts is not None and packet.time_base is not None
        with self._explained():
            if self._copy is not None:
                self._copy.until(packet.dts * packet.time_base)
            self._mux([packet])
        self.frames += 1
        self._has_packets = True

    @property
    def extradata(self) -> bytes:
        """The encoder's header; the packets of another file fit in here where theirs equals it."""
        return bytes(self._stream.codec_context.extradata or b"")

    def _mux(self, packets: list[Packet[Any]]) -> None:
        assert self._container is not None
        for packet in packets:
            packet.stream = self._stream
            with self._forgiving():
                self._container.mux_one(packet)

    def _add_video(self, container: OutputContainer) -> VideoStream:
        format, codec = self.format, self._codec
        stream: VideoStream = container.add_stream(codec.encoder, rate=format.rate)  # type: ignore[assignment]
        self._encoder = Encoder(stream.codec_context, format, codec, self._settings)
        if is_odd(format) and codec.odd_pix_fmt == "yuv444p":
            self.notes.append(
                f"{self.target}: {format.width}x{format.height} is an odd size, which {self._codec_name} can "
                "only hold with full colour resolution (4:4:4); some players cannot show that: "
                "--codec vp9 or an even --size avoids it"
            )
        if self._codec_name == "hevc" and self.target.suffix.lower() != ".mkv":
            stream.codec_context.codec_tag = "hvc1"  # the only one that Apple's players take
        return stream

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Take an error for that of a packet of the sound, which waited in the container for its turn."""
        try:
            yield
        except DAMAGED_PACKET as error:
            if self._copy is None or isinstance(error.__cause__, OSError):
                raise
            self._copy.lost += 1

    def _count_packets(self) -> None:
        """Make sure that what the container did not take was no frame."""
        assert self._file is not None
        with av.open(self._file.name) as written:
            held = sum(bool(packet.size) for packet in written.demux(written.streams.video[0]))
        if held != self.frames:
            raise OutputError(f"{self.target}: {self.frames - held} frames could not be written; try another --codec")

    def _muxer_options(self, muxer: str, source: InputContainer | None) -> dict[str, str]:
        if muxer not in ("mp4", "mov"):
            return {}
        # MP4 keeps the streams' start times and lengths in ticks of the whole film, 1 ms unless told otherwise.
        ticks = self.format.time_base.denominator
        tracks = source.streams.audio if source is not None else ()
        rates = [stream.codec_context.sample_rate for stream in tracks if stream.codec_context]
        common = math.lcm(ticks, *(rate for rate in rates if rate))
        return {"movie_timescale": str(max(1000, common if common <= _MOST_TICKS else ticks))}

    def _drop_container(self) -> None:
        """Close what a failed run leaves open; the file itself is removed by ``atomic_path``."""
        if self._container is not None:
            with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
                self._container.close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OutputError:
            raise
        except OSError as error:
            raise explain_os_error(OSError(error.errno, error.strerror), self.target) from error
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error.__cause__, OSError):  # raised by our file inside FFmpeg
                raise explain_os_error(error.__cause__, self.target) from error
            reason = getattr(error, "strerror", None) or str(error)
            copied = self._copy.described() if self._copy else ""
            raise OutputError(
                f"{self.target}: a {self.target.suffix} file cannot hold {self._codec_name} at "
                f"{self.format.width}x{self.format.height}{copied} ({reason}); "
                f"choose another --size or --codec{', or leave the sound out with --no-audio' if copied else ''}"
            ) from error
