"""Make the sample photo and the sample clip of this folder, from pictures that scikit-image ships.

    pip install scikit-image && python examples/make_examples.py

The clip is a camera that moves over two photographs, with a quiet synthetic chord as its sound.
CREDITS.md says where the pictures come from.
"""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

FOLDER = Path(__file__).parent
SIZE_WH = (640, 360)
FPS = 24
SHOT_S = 2.0
SAMPLE_RATE = 48_000

# One shot: picture, and the camera's (centre x, centre y, width) at its beginning and end, in parts of
# the picture's width and height.
Shot = tuple[str, tuple[float, float, float], tuple[float, float, float]]
SHOTS: tuple[Shot, ...] = (
    ("rocket", (0.50, 0.40, 0.98), (0.48, 0.70, 0.70)),
    ("coffee", (0.40, 0.50, 0.78), (0.55, 0.50, 0.98)),
)


def frames(shot: Shot) -> list[NDArray[np.uint8]]:
    """The frames of one shot, RGB uint8 ``[360, 640, 3]`` each."""
    name, start, end = shot
    picture = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
    count = round(SHOT_S * FPS)
    taken = []
    for index in range(count):
        t = index / (count - 1)
        t = t * t * (3 - 2 * t)  # starts and stops softly
        x, y, part = (a + (b - a) * t for a, b in zip(start, end, strict=True))
        width = part * picture.width
        height = width * SIZE_WH[1] / SIZE_WH[0]
        left = min(max(x * picture.width - width / 2, 0), picture.width - width)
        top = min(max(y * picture.height - height / 2, 0), picture.height - height)
        box = (left, top, left + width, top + height)
        taken.append(np.asarray(picture.resize(SIZE_WH, Image.Resampling.LANCZOS, box=box)))
    return taken


def chord(seconds: float) -> NDArray[np.float32]:
    """A soft A minor chord, float32 ``[2, samples]``, -1..1."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    channels = []
    for detune in (0.999, 1.001):
        tones = sum(np.sin(2 * math.pi * hertz * detune * t) for hertz in (110.0, 220.0, 261.63, 329.63))
        channels.append(0.02 * np.minimum(1, np.minimum(t, t[::-1]) / 0.4) * tones)
    return np.stack(channels).astype(np.float32)


def write_clip(path: Path) -> None:
    """H.264 and AAC in MP4."""
    pictures = [frame for shot in SHOTS for frame in frames(shot)]
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        video: Any = container.add_stream("libx264", rate=FPS, options={"crf": "20", "preset": "slow"})
        video.width, video.height, video.pix_fmt = *SIZE_WH, "yuv420p"
        audio: Any = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo")
        audio.bit_rate = 96_000
        for picture in pictures:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())
        samples = np.ascontiguousarray(chord(len(pictures) / FPS))
        for start in range(0, samples.shape[1], 1024):
            block = np.ascontiguousarray(samples[:, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
            container.mux(audio.encode(frame))
        container.mux(audio.encode())


if __name__ == "__main__":
    Image.fromarray(skimage.data.astronaut()).save(FOLDER / "astronaut.jpg", quality=92, subsampling=0)
    write_clip(FOLDER / "clip.mp4")
