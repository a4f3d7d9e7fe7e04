"""Clips that are damaged, mislabelled or extreme, made from nothing but a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.video.stream import VideoStream
from clips import encode_sound, make_clip
from PIL import Image

SUFFIXES = (".mp4", ".mkv", ".avi", ".ts", ".mov", ".webm")


def _seed_clip(path: Path) -> bytes:
    codec, sound = ("libvpx-vp9", "libopus") if path.suffix == ".webm" else ("libx264", "aac")
    if path.suffix == ".avi":
        sound = "mp2"

    def repeatable(stream: VideoStream) -> None:
        if codec == "libx264":  # with its default settings it is not, from run to run
            stream.codec_context.options = {"bf": "2", "x264-params": "mbtree=0"}

    make_clip(path, (96, 64), Fraction(25), range(40), codec=codec, sound=(sound,), setup=repeatable)
    return path.read_bytes()


def _flip(data: bytes, rng: random.Random, count: int, start: float = 0.0, end: float = 1.0) -> bytes:
    changed = bytearray(data)
    for _ in range(count):
        changed[rng.randrange(int(start * len(data)), max(1, int(end * len(data))))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut_out(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randrange(1, len(data) // 4) :]


def _zeroed(data: bytes, rng: random.Random) -> bytes:
    start, size = rng.randrange(len(data)), rng.randrange(1, len(data) // 3)
    return (data[:start] + bytes(size) + data[start + size :])[: len(data)]


def _noise(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(200, len(data))
    return data[:start] + rng.randbytes(len(data) - start)


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "truncated": lambda data, rng: data[: rng.randrange(1, len(data))],
    "few-bits": lambda data, rng: _flip(data, rng, rng.randrange(1, 10)),
    "many-bits": lambda data, rng: _flip(data, rng, len(data) // 50),
    "header-bits": lambda data, rng: _flip(data, rng, rng.randrange(1, 20), 0.0, 0.05),
    "end-bits": lambda data, rng: _flip(data, rng, rng.randrange(1, 20), 0.9, 1.0),
    "hole": _zeroed,
    "missing-piece": _cut_out,
    "noise": _noise,
    "twice": lambda data, _: data + data,
    "shuffled": lambda data, _: data[len(data) // 2 :] + data[: len(data) // 2],
}


def _special(folder: Path, whole: bytes) -> Iterator[Path]:
    """Clips that are extreme, or none at all."""
    (folder / "zero-bytes.mp4").write_bytes(b"")
    (folder / "one-byte.mkv").write_bytes(b"\x1a")
    (folder / "words.mp4").write_text("no clip\n" * 500)
    Image.new("RGB", (64, 48), "red").save(folder / "picture.mp4", "PNG")
    (folder / "wrong-extension.gif").write_bytes(whole)
    (folder / "wrong-extension.wmv").write_bytes(whole)
    with av.open(str(folder / "sound-only.mp4"), "w") as out:
        track = out.add_stream("aac", rate=48000)
        out.mux(encode_sound(track, 1, 440.0, 0))
    make_clip(folder / "one-frame.mp4", pts=[0])
    make_clip(folder / "one-pixel.mkv", (1, 1), codec="ffv1", pix_fmt="yuv444p")
    make_clip(folder / "thin.mov", (1, 200), codec="png", pix_fmt="rgb24")
    make_clip(folder / "wide.mp4", (8192, 16), pts=range(3))
    make_clip(folder / "high.mp4", (16, 8192), pts=range(3))
    make_clip(folder / "far-apart.mp4", pts=[0, 1, 2**24], sound=(), time_base=Fraction(1, 1000))
    make_clip(folder / "fast.mkv", pts=range(20), rate=Fraction(1000), sound=())
    names = ("zero-bytes.mp4", "one-byte.mkv", "words.mp4", "picture.mp4", "wrong-extension.gif", "wrong-extension.wmv")
    more = ("sound-only.mp4", "one-frame.mp4", "one-pixel.mkv", "thin.mov", "wide.mp4", "high.mp4", "far-apart.mp4")
    yield from (folder / name for name in (*names, *more, "fast.mkv"))


def damaged_clips(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Write ``count`` of them into ``folder``: the extreme ones first, then every damage in every container."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    work = folder.parent / "whole"
    work.mkdir(exist_ok=True)
    whole = {suffix: _seed_clip(work / f"clip{suffix}") for suffix in SUFFIXES}
    made = list(_special(folder, whole[".mp4"]))[:count]
    kinds = [(kind, suffix) for kind in DAMAGES for suffix in SUFFIXES]
    rng.shuffle(kinds)
    while len(made) < count:
        kind, suffix = kinds[len(made) % len(kinds)]
        path = folder / f"{len(made):03}-{kind}{suffix}"
        path.write_bytes(DAMAGES[kind](whole[suffix], rng))
        made.append(path)
    return made
