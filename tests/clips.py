"""Small clips made on the spot, and what a player would find in a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

NTSC = Fraction(30000, 1001)


def picture(index: int, width: int, height: int) -> np.ndarray:
    """RGB uint8 ``[H, W, 3]``: dark at the top, red in the top left corner, a bar that moves."""
    y, x = np.mgrid[0:height, 0:width]
    frame = np.stack([60 + 0 * x, 40 + 120 * y // height, 40 + 120 * x // width], -1).astype(np.uint8)
    frame[: height // 2, : width // 2] = (220, 30, 30)
    bar = index * 2 % width
    frame[:, bar : bar + max(2, width // 10)] = 255
    return frame


def make_clip(
    path: Path,
    size=(64, 48),
    rate=NTSC,
    pts=range(12),
    time_base=None,
    codec="libx264",
    pix_fmt="yuv420p",
    sound=("aac",),
    sound_delay=Fraction(0),
    subtitles=False,
    setup=lambda stream: None,
    title="A test",
) -> Path:
    """Write a clip whose frame ``i`` is ``picture(i)`` at ``pts[i] * time_base`` seconds."""
    time_base = time_base or 1 / rate
    with av.open(str(path), "w") as out:
        out.metadata["title"] = title
        video = out.add_stream(codec, rate=rate, options={"bf": "2"} if codec == "libx264" else {})
        video.width, video.height, video.pix_fmt = *size, pix_fmt
        video.codec_context.time_base = time_base
        setup(video)
        tracks = [out.add_stream(name, rate=48000, bit_rate=128_000) for name in sound]
        packets = []
        for index, at in enumerate(pts):
            frame = av.VideoFrame.from_ndarray(picture(index, *size), "rgb24")
            frame.pts, frame.time_base = at, time_base
            packets += video.encode(frame)
        packets += video.encode(None)
        seconds = (max(pts) + 1) * time_base
        for number, track in enumerate(tracks):
            packets += encode_sound(track, seconds, 220.0 * (number + 1), sound_delay)
        out.start_encoding()
        for packet in sorted(packets, key=lambda p: (p.dts or 0) * p.time_base):
            out.mux(packet)
    return path


def encode_sound(track, seconds, hertz, delay):
    context = track.codec_context
    count = max(1024, int(seconds * 48000))
    tone = np.sin(np.arange(count) * 2 * np.pi * hertz / 48000) * 0.3
    planar = context.format.is_planar
    samples = np.repeat(tone[None], 2, 0).astype(np.float32)
    if context.format.name.startswith("s16"):
        samples = (samples * 32000).astype(np.int16)
    elif context.format.name.startswith("u8"):
        samples = (samples * 127 + 128).astype(np.uint8)
    packets, step = [], context.frame_size or 1024
    for start in range(0, count, step):
        block = samples[:, start : start + step]
        if not planar:
            block = np.ascontiguousarray(block.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(block, format=context.format.name, layout="stereo")
        frame.sample_rate, frame.time_base = 48000, Fraction(1, 48000)
        frame.pts = start + int(delay * 48000)
        packets += track.encode(frame)
    return packets + track.encode(None)


@dataclass
class Found:
    """What is in a file, times in exact seconds."""

    times: list[Fraction] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list)
    sound: list[list[tuple[Fraction, bytes]]] = field(default_factory=list)
    subtitles: list[bytes] = field(default_factory=list)
    rate: Fraction = Fraction(0)
    pixel: Fraction | None = None
    codec: str = ""
    pix_fmt: str = ""
    colours: tuple[int, int] = (0, 0)
    rotation: int = 0
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        return self.pictures[0].shape[1], self.pictures[0].shape[0]


def look_at(path: Path) -> Found:
    """Read everything that is in a file."""
    found = Found()
    with av.open(str(path)) as clip:
        video = clip.streams.video[0]
        found.rate, found.pixel, found.codec = video.average_rate, video.sample_aspect_ratio, video.name
        found.pix_fmt, found.metadata = video.pix_fmt, dict(clip.metadata)
        found.colours = (int(video.codec_context.colorspace), int(video.codec_context.color_range))
        for frame in clip.decode(video):
            found.times.append(frame.pts * frame.time_base)
            found.pictures.append(frame.to_ndarray(format="rgb24"))
            found.rotation = frame.rotation
    with av.open(str(path)) as clip:
        tracks = {stream.index: [] for stream in clip.streams.audio}
        for packet in clip.demux():
            if packet.size and packet.stream_index in tracks:
                tracks[packet.stream_index].append((packet.pts * packet.time_base, bytes(packet)))
            elif packet.size and clip.streams[packet.stream_index].type == "subtitle":
                found.subtitles.append(bytes(packet))
        found.sound = list(tracks.values())
    return found
