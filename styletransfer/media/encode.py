"""Video files out: encoded frames with their exact time stamps."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import av
import av.error
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from styletransfer.core.errors import OutputError
from styletransfer.core.files import atomic_path, explain_os_error
from styletransfer.core.frames import Frame
from styletransfer.media.codecs import MUXERS, EncoderSettings, encoder_options
from styletransfer.media.copying import StreamCopy
from styletransfer.media.format import FULL, LIMITED, SWSCALE_MATRIX, VideoFormat, colour_matrix
from styletransfer.media.video import open_container

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_SANE_DELAY_S = 3600  # that decoding may begin before the first frame's time


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
        self._codec_name, self._codec = settings.for_target(self.target)
        self._settings = settings
        self._copy_from = copy_from
        self._copy_kinds = {"audio", "subtitle"} if copy_audio else {"subtitle"}
        self._copy: StreamCopy | None = None
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._first_pts = 0
        self._reformatter = VideoReformatter()
        self._exit = contextlib.ExitStack()
        self._file: IO[bytes] | None = None
        self._container: OutputContainer | None = None

    def __enter__(self) -> VideoWriter:
        with contextlib.ExitStack() as stack, self._explained():
            temporary = stack.enter_context(atomic_path(self.target))
            # Through a Python file, because FFmpeg's own loses the error of the last write (full disk).
            self._file = stack.enter_context(temporary.open("wb"))
            muxer = MUXERS[self.target.suffix.lower()]
            self._container = av.open(self._file, "w", format=muxer, container_options=self._muxer_options(muxer))
            stack.callback(self._drop_container)
            if self._codec.encoder == "libsvtav1":
                os.environ.setdefault("SVT_LOG", "1")  # errors only; it writes to stderr by itself
            self._stream = self._add_video(self._container)
            if self._copy_from is not None:
                source = stack.enter_context(open_container(self._copy_from))
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
            self._mux(self._stream.encode(None))
            if self._copy is not None:
                self._copy.until(None)
            self._container.close()
            self._file.flush()
            stack.pop_all().close()

    def write(self, frame: Frame) -> None:
        """Encode one frame of the format's size; time stamps must grow.

        Raises:
            OutputError: the disk is full, or the encoder refuses the frame.
        """
        assert self._container is not None, "used outside its with block"
        height, width, _ = frame.frame_hwc.shape
        if (width, height) != (self.format.width, self.format.height):
            raise OutputError(
                f"{self.target}: frame {self.frames} has {width}x{height} pixels, "
                f"the file {self.format.width}x{self.format.height}"
            )
        pts = round(frame.pts_s / self.format.time_base)
        if self._last_pts is not None and pts <= self._last_pts:
            pts = self._last_pts + 1
        if not self.frames:
            self._first_pts = pts
        with self._explained():
            encoded = self._convert(frame)
            encoded.pts = pts
            encoded.time_base = self.format.time_base
            encoded.duration = round(frame.duration_s / self.format.time_base)
            if self._copy is not None:
                self._copy.until(frame.pts_s)
            self._mux(self._stream.encode(encoded))
        self._last_pts = pts
        self.frames += 1

    def _mux(self, packets: list[Packet[Any]]) -> None:
        assert self._container is not None
        for packet in packets:
            if self._codec.encoder == "libx265":
                # It leaves the decoding times of clips with one or two frames to chance: what lay in memory.
                assert packet.pts is not None and packet.dts is not None
                earliest = self._first_pts - round(_SANE_DELAY_S / self.format.time_base)
                if not earliest <= packet.dts <= packet.pts:
                    packet.dts = packet.pts
                if self._last_dts is not None and packet.dts <= self._last_dts:
                    packet.dts = self._last_dts + 1
                self._last_dts = packet.dts
            self._container.mux_one(packet)

    def _convert(self, frame: Frame) -> VideoFrame:
        matrix = colour_matrix(self.format.colorspace, (self.format.width, self.format.height))
        return self._reformatter.reformat(
            VideoFrame.from_numpy_buffer(frame.frame_hwc, "rgb24"),
            format=self._stream.pix_fmt,
            src_color_range=FULL,
            dst_colorspace=SWSCALE_MATRIX[matrix],
            dst_color_range=FULL if self.format.color_range == FULL else LIMITED,
        )

    def _add_video(self, container: OutputContainer) -> VideoStream:
        format, codec = self.format, self._codec
        stream: VideoStream = container.add_stream(  # type: ignore[assignment]
            codec.encoder, rate=format.rate, options=encoder_options(codec, self._settings)
        )
        context = stream.codec_context
        context.width, context.height = format.width, format.height
        odd = format.width % 2 or format.height % 2
        context.pix_fmt = codec.odd_pix_fmt if odd else codec.pix_fmt
        if odd and codec.odd_pix_fmt == "yuv444p":
            self.notes.append(
                f"{self.target}: {format.width}x{format.height} is an odd size, which {self._codec_name} can "
                "only hold with full colour resolution (4:4:4); some players cannot show that: "
                "--codec vp9 or an even --size avoids it"
            )
        context.time_base = format.time_base
        context.sample_aspect_ratio = format.sample_aspect_ratio
        context.color_range = format.color_range
        context.colorspace = format.colorspace
        context.color_trc = format.color_trc
        context.color_primaries = format.color_primaries
        if self._codec_name == "hevc" and self.target.suffix.lower() != ".mkv":
            context.codec_tag = "hvc1"  # the only one that Apple's players take
        return stream

    def _muxer_options(self, muxer: str) -> dict[str, str]:
        # MP4 keeps the streams' start times in ticks of the whole film, 1 ms unless told otherwise.
        ticks = self.format.time_base.denominator
        return {"movie_timescale": str(max(1000, ticks))} if muxer in ("mp4", "mov") else {}

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
