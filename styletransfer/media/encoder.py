"""One encoder: RGB frames in, packets with their exact times out; in which file they end is not its business."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from styletransfer.core.errors import OutputError
from styletransfer.media.codecs import Codec, EncoderSettings, encoder_options
from styletransfer.media.format import FULL, LIMITED, SWSCALE_MATRIX, VideoFormat, colour_matrix

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext

    from styletransfer.core.frames import Frame

_SANE_DELAY_S = 3600  # that decoding may begin before the first frame's time


class Encoder:
    """Encodes frames in order.

    Args:
        context: an encoder's context that is not open yet: of a container's stream, or alone.
        format: size, clock and colours of the frames.
        codec: recipe of the codec.
        settings: quality and speed.

    Attributes:
        frames: how many were taken.
    """

    def __init__(
        self, context: VideoCodecContext, format: VideoFormat, codec: Codec, settings: EncoderSettings
    ) -> None:
        self.frames = 0
        self._context = context
        self._format = format
        self._is_x265 = codec.encoder == "libx265"
        self._reformatter = VideoReformatter()
        self._durations: dict[int, int] = {}
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._earliest_dts = 0
        if codec.encoder == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # errors only; it writes to stderr by itself
        context.options = encoder_options(codec, settings)
        context.width, context.height = format.width, format.height
        context.pix_fmt = codec.odd_pix_fmt if is_odd(format) else codec.pix_fmt
        context.framerate = format.rate
        context.time_base = format.time_base
        context.sample_aspect_ratio = format.sample_aspect_ratio
        context.color_range = format.color_range
        context.colorspace = format.colorspace
        context.color_trc = format.color_trc
        context.color_primaries = format.color_primaries

    def encode(self, frame: Frame) -> list[Packet[Any]]:
        """The packets that are ready after one more frame; time stamps must grow.

        Raises:
            OutputError: the frame has another size.
        """
        height, width, _ = frame.frame_hwc.shape
        if (width, height) != (self._format.width, self._format.height):
            raise OutputError(
                f"frame {frame.index} has {width}x{height} pixels, the file {self._format.width}x{self._format.height}"
            )
        tick = self._format.time_base
        pts = round(frame.pts_s / tick)
        if self._last_pts is None:
            self._earliest_dts = pts - round(_SANE_DELAY_S / tick)
        elif pts <= self._last_pts:
            pts = self._last_pts + 1
        encoded = self._convert(frame)
        encoded.pts, encoded.time_base = pts, tick
        encoded.duration = self._durations[pts] = round(frame.duration_s / tick)
        self._last_pts = pts
        self.frames += 1
        return self._checked(self._context.encode(encoded))

    def flush(self) -> list[Packet[Any]]:
        """The last packets."""
        return self._checked(self._context.encode(None))

    def _checked(self, packets: list[Packet[Any]]) -> list[Packet[Any]]:
        for packet in packets:
            assert packet.pts is not None and packet.dts is not None
            packet.duration = self._durations.pop(packet.pts, None) or packet.duration or 0
            if self._is_x265:
                # It leaves the decoding times of clips with one or two frames to chance: what lay in memory.
                if not self._earliest_dts <= packet.dts <= packet.pts:
                    packet.dts = packet.pts
                if self._last_dts is not None and packet.dts <= self._last_dts:
                    packet.dts = self._last_dts + 1
                self._last_dts = packet.dts
        return packets

    def _convert(self, frame: Frame) -> VideoFrame:
        matrix = colour_matrix(self._format.colorspace, (self._format.width, self._format.height))
        return self._reformatter.reformat(
            VideoFrame.from_numpy_buffer(frame.frame_hwc, "rgb24"),
            format=self._context.pix_fmt,
            src_color_range=FULL,
            dst_colorspace=SWSCALE_MATRIX[matrix],
            dst_color_range=FULL if self._format.color_range == FULL else LIMITED,
        )


def is_odd(format: VideoFormat) -> bool:
    """Whether a side is an odd number of pixels, which needs another pixel format with most codecs."""
    return bool(format.width % 2 or format.height % 2)


def decoding_times(pts: list[int]) -> list[int]:
    """Decoding times for packets whose presentation times are given in decoding order.

    The times are those of the frames in order of presentation, as late as their reordering allows, and the first
    ones lie before the first frame: they grow strictly, and no packet is decoded after it is shown.
    """
    if not pts:
        return []
    shown = sorted(pts)
    rank = {stamp: index for index, stamp in enumerate(shown)}
    delay = max(index - rank[stamp] for index, stamp in enumerate(pts))
    lead = shown[min(delay, len(shown) - 1)] - shown[0]
    early = [stamp - lead for stamp in shown[:delay]]
    return early + shown[: len(pts) - delay]
