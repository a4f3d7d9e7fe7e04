"""What `video --smooth` costs beside the network, frame by frame in turns, so that a busy machine slows both.

python benchmarks/smooth.py CLIP                      # the default style, frames as large as the clip's
python benchmarks/smooth.py CLIP --model mine.onnx --size 1280 --frames 40
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from pathlib import Path

from styletransfer.core import zoo
from styletransfer.media.steady import Smoother
from styletransfer.media.video import VideoReader
from styletransfer.runtime.stylizer import Stylizer


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--model", default=zoo.DEFAULT_STYLE)
    parser.add_argument("--size", type=int)
    parser.add_argument("--smooth", type=float, default=0.7)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--provider", default="auto")
    arguments = parser.parse_args()

    stylizer = Stylizer(zoo.resolve(arguments.model), provider=arguments.provider)
    smoother = Smoother(arguments.smooth)
    times: dict[str, list[float]] = {"network": [], "smooth": []}
    with VideoReader(arguments.clip, longer_side=arguments.size) as reader:
        size = f"{reader.format.width}x{reader.format.height}"
        for frame in itertools.islice(reader, arguments.frames):
            start = time.perf_counter()
            stylized = stylizer(frame.frame_hwc)
            middle = time.perf_counter()
            smoother(frame.frame_hwc, stylized)
            end = time.perf_counter()
            times["network"].append(middle - start)
            times["smooth"].append(end - middle)
    print(f"{arguments.clip.name}, {size}, {stylizer.name} on {stylizer.provider}, {len(times['smooth'])} frames")
    for name, taken in times.items():
        counted = taken[2:] or taken  # the first ones warm up
        print(f"{name:8} median {statistics.median(counted) * 1e3:7.1f} ms, least {min(counted) * 1e3:7.1f} ms")
    share = statistics.median(times["smooth"][2:]) / statistics.median(times["network"][2:])
    print(f"smoothing adds {share:.1%} to the network's time")


if __name__ == "__main__":
    main()
