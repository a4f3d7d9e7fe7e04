"""Stylizing small and enlarging, against stylizing at full size: frame in, frame of the same size out.

    python benchmarks/chain.py                                          # the default style, upscale2, 1280x720
    python benchmarks/chain.py starry_night_johnson --after upscale2 --provider cpu
    python benchmarks/chain.py mine.onnx --before clean --pictures docs/pictures   # and the pictures side by side

Everything takes turns frame by frame in one process, each round in another order, so that ratios hold on a machine
whose speed drifts. The small way includes the shrinking: area averages from the full size to its fraction. ``--before``
adds a third way, which cleans the small frame first. Ratios are of medians, and of least times beside them.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from styletransfer.cli.bench import parse_size
from styletransfer.cli.chains import find_restorers
from styletransfer.cli.machine import describe
from styletransfer.cli.measure import measure_interleaved
from styletransfer.core import zoo
from styletransfer.core.cores import cores
from styletransfer.core.errors import SettingsError, StyleTransferError
from styletransfer.core.files import write_bytes
from styletransfer.core.panels import Panel, draw_panels
from styletransfer.core.pictures import Picture, load_picture, resize_frame, save_picture
from styletransfer.media.opencv import resize
from styletransfer.runtime.chain import Chain, load_chain
from styletransfer.runtime.timing import percentile

RESULT = Path(__file__).parent / "results" / "chain.json"
PHOTO = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
BAR_TIMES = 2.5  # the small way's frames a second, times those at full size, on two cores

Frame = NDArray[np.uint8]


@dataclass
class Way:
    """One way from a frame to a stylized frame of the same size.

    Attributes:
        name: in the table.
        chain: what runs.
        size_wh: width and height that the chain is given, pixels; frames of another size are shrunk to it.
    """

    name: str
    chain: Chain
    size_wh: tuple[int, int]

    def __call__(self, frame_hwc: Frame) -> Frame:
        """The whole way, for RGB uint8 ``[H, W, 3]``."""
        return self.chain(resize(frame_hwc, self.size_wh))

    def warm_up(self, height: int, width: int) -> None:  # noqa: ARG002
        """Prepare the chain for its own size; that of the frame does not matter."""
        self.chain.warm_up(self.size_wh[1], self.size_wh[0])


def make_ways(arguments: argparse.Namespace, model: str, size_wh: tuple[int, int]) -> list[Way]:
    """Full size, small and enlarged, and with ``--before`` cleaned, small and enlarged.

    Raises:
        SettingsError: the restorers do not enlarge, or the size cannot be divided by their scale.
    """
    after = find_restorers(None, arguments.after)
    before = find_restorers(arguments.before, None)
    if after.scale < 2 or before.scale > 1:
        raise SettingsError("--after must enlarge, and --before must not")
    if any(side % after.scale for side in size_wh):
        raise SettingsError(f"--size {size_wh[0]}x{size_wh[1]} cannot be divided by {after.scale}")
    small_wh = (size_wh[0] // after.scale, size_wh[1] // after.scale)
    style = zoo.resolve(model)

    def load(*restorers: Any) -> Chain:
        return load_chain(style, *restorers, provider=arguments.provider, threads=arguments.threads)

    enlarging = "-".join(path.stem for path in after.after)
    ways = [
        Way("full size", load((), ()), size_wh),
        Way(f"1/{after.scale}, {enlarging}", load((), after.after), small_wh),
    ]
    if before.before:
        cleaning = "-".join(path.stem for path in before.before)
        ways.append(Way(f"1/{after.scale}, {cleaning}, {enlarging}", load(before.before, after.after), small_wh))
    return ways


def measure(ways: list[Way], size_wh: tuple[int, int], seconds: float, repeats: int | None) -> list[dict[str, Any]]:
    """Frames a second of each way, and times the first one's."""
    times = measure_interleaved(ways, size_wh, seconds=seconds, repeats=repeats)  # type: ignore[arg-type]
    rows = []
    for way, taken in zip(ways, times, strict=True):
        p50_s, least_s = percentile(taken, 50), min(taken)
        rows.append(
            {
                "way": way.name,
                "works_at": list(way.size_wh),
                "provider": way.chain.provider,
                "frames": len(taken),
                "fps": round(1 / p50_s, 3),
                "p50_ms": round(1000 * p50_s, 3),
                "p95_ms": round(1000 * percentile(taken, 95), 3),
                "least_ms": round(1000 * least_s, 3),
                "times_full_size": round(percentile(times[0], 50) / p50_s, 3),
                "times_full_size_least": round(min(times[0]) / least_s, 3),
            }
        )
    return rows


def draw(ways: list[Way], rows: list[dict[str, Any]], photo: Path, size_wh: tuple[int, int]) -> Frame:
    """What each way makes of the same photo, side by side, its speed below."""
    frame = load_picture(photo).frame_hwc
    width, height = size_wh
    scale = max(width / frame.shape[1], height / frame.shape[0])
    frame = resize_frame(frame, (max(width, round(frame.shape[1] * scale)), max(height, round(frame.shape[0] * scale))))
    top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
    frame = np.ascontiguousarray(frame[top : top + height, left : left + width])
    panels = [Panel("photo", frame, (f"{width} x {height}",))]
    for way, row in zip(ways, rows, strict=True):
        panels.append(Panel(way.name, way(frame), (f"{row['fps']:.1f} frames/s on {row['provider']}",)))
    return draw_panels(panels, height)


def main() -> int:
    """Measure, print, write the JSON and, if asked, the pictures; 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=[zoo.DEFAULT_STYLE], help="style names or .onnx files")
    parser.add_argument("--after", action="append", help="restorer that enlarges [upscale2]")
    parser.add_argument("--before", action="append", help="restorer that cleans the small frame")
    parser.add_argument("--size", default="1280x720", help="full size")
    parser.add_argument("--provider", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seconds", type=float, default=20, help="to spend on each way")
    parser.add_argument("--repeats", type=int, help="frames of each way instead")
    parser.add_argument("--pictures", type=Path, help="folder for the pictures side by side")
    parser.add_argument("--photo", type=Path, default=PHOTO)
    parser.add_argument("--json", type=Path, default=RESULT)
    arguments = parser.parse_args()
    arguments.after = arguments.after or ["upscale2"]
    results, passed = [], True
    try:
        size_wh = parse_size(arguments.size)
        for model in arguments.models:
            ways = make_ways(arguments, model, size_wh)
            rows = measure(ways, size_wh, arguments.seconds, arguments.repeats)
            passed = passed and rows[1]["times_full_size"] >= BAR_TIMES
            results.append({"model": zoo.resolve(model).stem, "rows": rows})
            for row in rows:
                print(
                    f"{zoo.resolve(model).stem}, {row['way']} on {row['provider']}: {row['fps']:.2f} frames/s "
                    f"({row['p50_ms']:.1f} ms), {row['times_full_size']:.2f} times full size "
                    f"(by least times {row['times_full_size_least']:.2f}; bar {BAR_TIMES})",
                    flush=True,
                )
            if arguments.pictures is not None:
                sheet = draw(ways, rows, arguments.photo, size_wh)
                save_picture(Picture(sheet), arguments.pictures / f"chain-{zoo.resolve(model).stem}.jpg", quality=88)
        report = {"machine": describe(), "cores": cores(), "size": size_wh, "bar_times": BAR_TIMES, "results": results}
        write_bytes(arguments.json, (json.dumps(report, indent=2) + "\n").encode())
    except StyleTransferError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())
