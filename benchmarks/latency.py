"""Age of a frame at display: a 640×480 source of 30 frames a second through the whole webcam pipeline.

    python benchmarks/latency.py                                   # the default style, every provider that is here
    python benchmarks/latency.py mine.onnx --provider cpu --window # with the real window (needs a display)

Age runs from the grab to the end of showing. A frame counts as queued where it waited longer for the network than
the network was busy with the one before it: then something older lay in front of it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

SIZE_WH = (640, 480)
FRAMES_PER_S = 30
BARS_MS = {"openvino": 50, "cpu": 60}  # of the 95th percentile, on two cores
RESULT = Path(__file__).parent / "results" / "latency.json"


@dataclass(frozen=True)
class Session:
    """What one run is made of.

    Attributes:
        model: style name or .onnx file.
        provider: execution provider.
        clip: the file that stands in for a camera.
        window: show it in a real window.
    """

    model: str
    provider: str
    clip: Path
    window: bool = False


def make_clip(path: Path, seconds: int = 4) -> Path:
    """A moving scene in H.264, its end fitting its beginning."""
    import av

    rng = np.random.default_rng(0)
    width, height = SIZE_WH
    scene = np.kron(rng.integers(0, 256, (height // 16, width // 16, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
    count = seconds * FRAMES_PER_S
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=FRAMES_PER_S, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(count):
            moved = np.roll(scene, round(width * index / count), axis=1)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(moved), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FRAMES_PER_S)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def run(session: Session, frames: int, each: Any = None) -> dict[str, Any]:
    """Run the pipeline of ``styletransfer webcam`` for so many frames; its figures, and ``each()`` after every one."""
    from styletransfer.core import zoo
    from styletransfer.media.view import ViewState
    from styletransfer.media.window import PreviewWindow

    with contextlib.ExitStack() as stack:
        window = stack.enter_context(PreviewWindow()) if session.window else None  # before PyAV is imported
        from styletransfer.cli.live import LiveStage
        from styletransfer.cli.shelf import StyleShelf
        from styletransfer.cli.show import LiveView
        from styletransfer.media.camera import open_source
        from styletransfer.runtime import pipeline

        shelf = StyleShelf([zoo.resolve(session.model)], session.provider)
        stage = LiveStage(shelf, ViewState(styles=1))
        shelf.load(0).warm_up(SIZE_WH[1], SIZE_WH[0])
        live = stack.enter_context(open_source(str(session.clip), loop=True))
        if window is not None:
            stack.enter_context(shelf)
        view = LiveView(stage, shelf, window, limit=frames)
        stats = pipeline.run(
            live, stage, view, newest_only=True, idle=view.poll, written=each, times=view.times, poll_s=1 / 60
        )
    waits, busy = stage.waits, view.times.stage
    return {
        "model": session.model,
        "provider": stage.provider,
        "window": session.window,
        "frames": stats.frames,
        "fps": round(view.ages.per_second, 2),
        "dropped": live.dropped + stats.dropped,
        "age_p50_ms": round(view.ages.p50_ms, 1),
        "age_p95_ms": round(view.ages.p95_ms, 1),
        "wait_p95_ms": round(waits.p95_ms, 1),
        "stylize_p50_ms": round(busy.p50_ms, 1),
        "stylize_p95_ms": round(busy.p95_ms, 1),
        "show_p50_ms": round(view.times.sink.p50_ms, 1),
        "queued": bool(waits.p95_ms > max(busy.p95_ms, 1000 / FRAMES_PER_S)),
    }


def main() -> int:
    """Measure, print, write the JSON; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["starry_night"], help="style names or .onnx files")
    parser.add_argument("--provider", action="append", help="default: openvino where it is installed, and cpu")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--window", action="store_true")
    parser.add_argument("--json", type=Path, default=RESULT)
    arguments = parser.parse_args()
    from styletransfer.cli.machine import describe
    from styletransfer.core.files import write_bytes
    from styletransfer.runtime.providers import available

    providers = arguments.provider or [name for name in BARS_MS if name in available()]
    rows, passed = [], True
    with tempfile.TemporaryDirectory() as folder:
        if arguments.window:  # once before PyAV, which makes the clip: windows freeze otherwise
            from styletransfer.media.window import PreviewWindow

            with PreviewWindow():
                pass
        clip = make_clip(Path(folder) / "camera.mp4")
        for model in arguments.models:
            for provider in providers:
                row = run(Session(model, provider, clip, arguments.window), arguments.seconds * FRAMES_PER_S)
                row["bar_ms"] = BARS_MS.get(row["provider"])
                missed = row["queued"] or (row["bar_ms"] and row["age_p95_ms"] > row["bar_ms"])
                passed = passed and not missed
                rows.append(row)
                print(
                    f"{row['model']} on {row['provider']}: {row['fps']} fps, age at display p50 {row['age_p50_ms']}, "
                    f"p95 {row['age_p95_ms']} ms (bar {row['bar_ms']}), stylize {row['stylize_p50_ms']} / "
                    f"{row['stylize_p95_ms']} ms, show {row['show_p50_ms']} ms, {row['dropped']} dropped, "
                    f"{'frames queued' if row['queued'] else 'no frame queued'}",
                    flush=True,
                )
    report = {"machine": describe(), "size": SIZE_WH, "source_fps": FRAMES_PER_S, "results": rows}
    write_bytes(arguments.json, (json.dumps(report, indent=2) + "\n").encode())
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())
