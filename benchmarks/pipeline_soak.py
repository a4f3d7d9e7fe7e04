"""Whether the live pipeline's memory stays flat: a looping file through it for minutes.

    python benchmarks/pipeline_soak.py                 # 30 minutes, the default style on the CPU
    python benchmarks/pipeline_soak.py --minutes 3 --model starry_night_fast

Prints the resident memory each minute. The bar: at the end within 20 MB of what it was after the first minute, and no
thread left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from latency import FRAMES_PER_S, SIZE_WH, Session, make_clip, run

BAR_MB = 20.0
RESULT = Path(__file__).parent / "results" / "pipeline_soak.json"


def resident_bytes() -> int:
    """What this process has in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Samples:
    """Resident memory, looked at each second and printed each minute."""

    def __init__(self) -> None:
        self.started_s = time.perf_counter()
        self.taken: list[tuple[float, float]] = []  # seconds since the start, MB

    def look(self) -> None:
        """Called after every frame."""
        now_s = time.perf_counter() - self.started_s
        if self.taken and now_s - self.taken[-1][0] < 1:
            return
        megabytes = resident_bytes() / 1e6
        if self.taken and int(now_s / 60) > int(self.taken[-1][0] / 60):
            print(f"{now_s / 60:5.1f} min  {megabytes:7.1f} MB  {threading.active_count()} threads", flush=True)
        self.taken.append((now_s, megabytes))

    def mean_mb(self, start_s: float, end_s: float) -> float:
        """Mean over a stretch of time."""
        inside = [megabytes for second, megabytes in self.taken if start_s <= second <= end_s]
        return sum(inside) / len(inside)


def main() -> int:
    """Run, print, write the JSON; 1 where memory grew or a thread stayed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--model", default="starry_night")
    parser.add_argument("--provider", default="cpu")
    parser.add_argument("--json", type=Path, default=RESULT)
    arguments = parser.parse_args()
    if arguments.minutes < 1.5:
        parser.error("--minutes must be at least 1.5: the first minute is the yardstick")
    if not Path("/proc/self/statm").exists():
        parser.error("memory is read from /proc, which only Linux has")
    from styletransfer.cli.machine import describe
    from styletransfer.core.files import write_bytes
    from styletransfer.runtime.pipeline import StopPipeline

    before = set(threading.enumerate())
    with tempfile.TemporaryDirectory() as folder:
        clip = make_clip(Path(folder) / "camera.mp4")
        samples = Samples()

        def each() -> None:
            samples.look()
            if samples.taken[-1][0] >= arguments.minutes * 60:
                raise StopPipeline

        row = run(Session(arguments.model, arguments.provider, clip), sys.maxsize, each)
    left = [thread.name for thread in set(threading.enumerate()) - before]
    end_s = samples.taken[-1][0]
    row["minutes"] = round(end_s / 60, 1)
    row["mb_after_first_minute"] = round(samples.mean_mb(50, 70), 1)
    row["mb_at_the_end"] = round(samples.mean_mb(end_s - 20, end_s), 1)
    row["threads_left"] = left
    grown = row["mb_at_the_end"] - row["mb_after_first_minute"]
    print(
        f"{row['frames']} frames in {row['minutes']} minutes: {row['mb_after_first_minute']} MB after the first, "
        f"{row['mb_at_the_end']} MB at the end ({grown:+.1f} MB, bar ±{BAR_MB:.0f}), threads left: {left or 'none'}"
    )
    report = {"machine": describe(), "size": SIZE_WH, "source_fps": FRAMES_PER_S, "result": row}
    write_bytes(arguments.json, (json.dumps(report, indent=2) + "\n").encode())
    return int(abs(grown) > BAR_MB or bool(left))


if __name__ == "__main__":
    sys.exit(main())
