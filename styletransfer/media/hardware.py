"""Decoders and encoders in graphics cards: tried before they are used, never assumed."""

from __future__ import annotations

import functools
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av.error
import numpy as np
from av.codec.context import CodecContext
from av.codec.context import Flags as CodecFlags
from av.codec.hwaccel import hwdevices_available
from av.video.frame import VideoFrame

from styletransfer.core.errors import InputError, ProviderError
from styletransfer.media.codecs import Codec, has_encoder

if TYPE_CHECKING:
    from pathlib import Path

    from av.video.codeccontext import VideoCodecContext

AUTO = "auto"

_ENCODERS = {
    "cuda": {"h264": "h264_nvenc", "hevc": "hevc_nvenc", "av1": "av1_nvenc"},
    "qsv": {"h264": "h264_qsv", "hevc": "hevc_qsv", "av1": "av1_qsv"},
    "amf": {"h264": "h264_amf", "hevc": "hevc_amf", "av1": "av1_amf"},
    "videotoolbox": {"h264": "h264_videotoolbox", "hevc": "hevc_videotoolbox"},
}
"""FFmpeg's encoders by device and codec. They take frames from memory; the card uploads them itself."""


def devices() -> list[str]:
    """Kinds of devices that this build of PyAV knows; whether one is there shows when it is used."""
    return [name for name in hwdevices_available() if name != "none"]


def check(name: str) -> None:
    """Check a device's name.

    Raises:
        ProviderError: this build of PyAV does not know it.
    """
    if name and name != AUTO and name not in devices():
        known = ", ".join([AUTO, *devices()])
        raise ProviderError(f"--hwaccel is {name!r}; with this build of PyAV it can be {known}")


def decoder_for(path: Path, asked: str) -> str:
    """The device that decodes a clip: the one that was asked for, the first that can, or empty for the CPU.

    Raises:
        InputError: the clip cannot be read at all.
        ProviderError: the device that was asked for cannot decode the clip.
    """
    from styletransfer.media.video import VideoReader

    if not asked:
        return ""
    for device in devices() if asked == AUTO else [asked]:
        try:
            with VideoReader(path, hwaccel=device):
                return device
        except (InputError, RuntimeError, NotImplementedError, ValueError):
            continue
    with VideoReader(path):  # or the clip is the reason
        pass
    if asked == AUTO:
        return ""
    raise ProviderError(f"{path}: {asked} cannot decode it on this machine; leave --hwaccel out")


def encoder_for(name: str, codec: Codec, asked: str, size_wh: tuple[int, int]) -> Codec:
    """The recipe with a hardware encoder in it where one is asked for and works for this size, else as it was.

    A device that was asked for decodes, and encodes where it can: many that decode have no encoder.
    """
    for device in devices() if asked == AUTO else [asked] * bool(asked):
        encoder = _ENCODERS.get(device, {}).get(name)
        if encoder is not None and _works(encoder, size_wh):
            return replace(codec, encoder=encoder, odd_pix_fmt=codec.pix_fmt)
    return codec


@functools.cache
def _works(encoder: str, size_wh: tuple[int, int]) -> bool:
    """Whether an encoder takes a frame of this size and gives a packet."""
    if not has_encoder(encoder) or size_wh[0] % 2 or size_wh[1] % 2:
        return False
    try:
        context = cast("VideoCodecContext", CodecContext.create(encoder, "w"))
        context.width, context.height = size_wh
        context.pix_fmt, context.time_base, context.framerate = "yuv420p", Fraction(1, 25), Fraction(25)
        context.flags |= CodecFlags.global_header
        context.open()
        if not context.extradata:  # a file that is joined of segments needs it before the first frame
            return False
        frame = VideoFrame.from_ndarray(np.zeros((size_wh[1], size_wh[0], 3), np.uint8), "rgb24").reformat(
            format="yuv420p"
        )
        frame.pts = 0
        return bool([*context.encode(frame), *context.encode(None)])
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError):
        return False
