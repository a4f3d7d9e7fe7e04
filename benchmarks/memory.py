"""Memory while a long clip is stylized: it has to be flat.

    python benchmarks/memory.py [--minutes 10] [--size 1280] [--model starry_night_fast] [--smooth 0.7]

Makes a clip of that length (720p, 30 frames a second, sound), runs `styletransfer video` on it and reads the
process's resident memory four times a second. Flat: the last third needs at most 5 % more than the second.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from styletransfer.cli.machine import describe
from styletransfer.core.files import write_bytes

BAR_BYTES, BAR_GROWTH = 1.5e9, 1.05
RESULT = Path(__file__).parent / "results" / "memory.json"


def make_clip(path: Path, frames: int, size: int) -> None:
    """A picture that moves, with a tone: 16:9, 30 frames a second."""
    width, height = size, size * 9 // 16 // 2 * 2
    y, x = np.mgrid[0:height, 0 : 2 * width]
    wide = np.stack([x % 256, (x // 3 + y) % 256, (x * y // 500) % 256], -1).astype(np.uint8)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        sound = out.add_stream("aac", rate=48_000)
        video.width, video.height = width, height
        for index in range(frames):
            start = index * 4 % width
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(wide[:, start : start + width]), "rgb24")
            out.mux(video.encode(frame))
            tone = np.sin((np.arange(1600) + index * 1600) * 0.05).astype(np.float32)
            block = av.AudioFrame.from_ndarray(np.stack([tone, tone]) * 0.2, "fltp", "stereo")
            block.sample_rate, block.pts, block.time_base = 48_000, index * 1600, Fraction(1, 48_000)
            out.mux(sound.encode(block))
        out.mux(video.encode(None))
        out.mux(sound.encode(None))


def resident_bytes(process: int) -> int:
    """Resident memory of a process (Linux)."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    return 0


def watch(command: list[str]) -> tuple[int, list[int]]:
    """Run a command; its exit status, and its memory four times a second."""
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    seen: list[int] = []
    while run.poll() is None:
        time.sleep(0.25)
        try:
            seen.append(resident_bytes(run.pid))
        except OSError:
            break
    return run.wait(), [value for value in seen if value]


def main() -> int:
    """Run, print, write the JSON, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--size", type=int, default=1280)
    parser.add_argument("--model", default="starry_night_fast")
    parser.add_argument("--smooth", type=float, default=0.0)
    parser.add_argument("--json", type=Path, default=RESULT)
    arguments = parser.parse_args()
    frames = round(arguments.minutes * 60 * 30)
    with tempfile.TemporaryDirectory() as name:
        clip = Path(name) / "in" / "clip.mp4"
        clip.parent.mkdir()
        make_clip(clip, frames, arguments.size)
        options = ["-m", arguments.model, "--smooth", str(arguments.smooth), "--provider", "cpu"]
        # As a folder, which is worked on in segments whatever the clip's length.
        command = ["video", str(clip.parent), "-o", str(Path(name) / "out"), *options]
        started = time.perf_counter()
        status, seen = watch([sys.executable, "-m", "styletransfer", *command])
        seconds = time.perf_counter() - started
    third = len(seen) // 3
    middle, last = max(seen[third : 2 * third]), max(seen[2 * third :])
    peak = max(seen)
    print(
        f"{frames} frames in {seconds:.0f} s, status {status}: peak {peak / 1e6:.0f} MB, "
        f"second third {middle / 1e6:.0f} MB, last third {last / 1e6:.0f} MB ({last / middle:.3f})"
    )
    report = {
        "machine": describe(),
        "frames": frames,
        "longer_side": arguments.size,
        "model": arguments.model,
        "smooth": arguments.smooth,
        "peak_mb": round(peak / 1e6),
        "second_third_mb": round(middle / 1e6),
        "last_third_mb": round(last / 1e6),
    }
    write_bytes(arguments.json, (json.dumps(report, indent=2) + "\n").encode())
    return int(status != 0 or peak > BAR_BYTES or last > BAR_GROWTH * middle)


if __name__ == "__main__":
    sys.exit(main())
