"""What cleaning a noisy camera's frames before stylizing takes from the flicker: ``--before clean``, on against off.

    python benchmarks/clean_flicker.py CLIPS...                          # starry_night, 24 frames of each, 480 pixels
    python benchmarks/clean_flicker.py CLIPS... -m udnie --sigma 16 --quality 40

Every frame gets Gaussian noise of its own and goes through JPEG. Motion is that of the clip itself, whose stylization
without noise is "clean". "on" is what `video --before` and `webcam --before` do: the network, and the mean over time
behind it. The bar is on "on" over "off".
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from styletransfer.cli.machine import describe
from styletransfer.cli.stages import Look, stage_factory
from styletransfer.core import zoo
from styletransfer.core.damage import add_noise, as_bytes, through_jpeg
from styletransfer.core.errors import StyleTransferError
from styletransfer.core.files import write_bytes
from styletransfer.media.stability import StabilityMeter
from styletransfer.media.video import VideoReader
from styletransfer.runtime.chain import load_chain

RESULT = Path(__file__).parent / "results" / "clean_flicker.json"
BAR_TIMES = 0.7

Frame = NDArray[np.uint8]


def spoil(frame_hwc: Frame, index: int, sigma: float, quality: int) -> Frame:
    """One frame of a noisy webcam, RGB uint8 ``[H, W, 3]``; frame ``index`` always has the same noise."""
    return through_jpeg(as_bytes(add_noise(frame_hwc, sigma, (0, index))), quality)


def measure(clip: Path, style: Path, before: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures of one clip: ``clean`` (no noise), ``off`` and ``on`` (noise, without and with cleaning)."""
    meter = StabilityMeter()
    plain, cleaning = (
        stage_factory(load_chain(style, restorers, provider="cpu"), Look()).make(0) for restorers in ([], [before])
    )
    with VideoReader(clip, longer_side=arguments.size) as reader:
        for frame in itertools.islice(reader, arguments.frames):
            noisy = spoil(frame.frame_hwc, frame.index, arguments.sigma, arguments.quality)
            spoiled = frame.with_picture(noisy)
            outputs = {"clean": plain(frame), "off": plain(spoiled), "on": cleaning(spoiled)}
            meter.add(frame.frame_hwc, {name: output.frame_hwc for name, output in outputs.items()})
    results = {name: meter.result(name) for name in ("clean", "off", "on")}
    return {
        name: {
            "warping_error": result.warping_error,
            "flicker_levels": result.flicker_levels,
            "detail_levels": result.detail_levels,
        }
        for name, result in results.items()
    }


def main() -> int:
    """Print the table, write the JSON, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("-m", "--model", default=zoo.DEFAULT_STYLE)
    parser.add_argument("--before", default="clean")
    parser.add_argument("--sigma", type=float, default=12.0, help="of the noise, grey levels")
    parser.add_argument("--quality", type=int, default=60, help="of JPEG")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", type=int, default=480, help="longer side of the frames")
    parser.add_argument("--json", type=Path, default=RESULT)
    arguments = parser.parse_args()
    try:
        style, before = zoo.resolve(arguments.model), zoo.resolve_restorer(arguments.before)
        clips = {clip.name: measure(clip, style, before, arguments) for clip in arguments.clips}
    except StyleTransferError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    keys = ("warping_error", "flicker_levels", "detail_levels")
    ratios: dict[str, list[float]] = {}
    print(f"{'clip':28} {'measure':16} {'clean':>9} {'off':>9} {'on':>9}  on/off")
    for name, figures in clips.items():
        for key in keys:
            values = [figures[way][key] for way in ("clean", "off", "on")]
            if None in values:
                continue
            ratios.setdefault(key, []).append(values[2] / values[1])
            print(f"{name[:28]:28} {key:16} {values[0]:9.4f} {values[1]:9.4f} {values[2]:9.4f}  {ratios[key][-1]:.2f}")
    means = {key: float(np.mean(values)) for key, values in ratios.items()}
    print("mean on/off: " + ", ".join(f"{key} {value:.2f}" for key, value in means.items()) + f"; bar {BAR_TIMES}")
    told = {key: str(value) for key, value in vars(arguments).items() if key not in ("clips", "json")}
    record = {"machine": describe(), "settings": told, "clips": clips, "mean_on_over_off": means}
    write_bytes(arguments.json, (json.dumps(record, indent=2) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
