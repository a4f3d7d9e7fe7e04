"""How long `styletransfer --help` takes, and what it imports.

    python benchmarks/import_time.py

The bar: below half a second, without torch, cv2, onnxruntime, av or numpy.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from styletransfer.cli.machine import describe
from styletransfer.core.files import write_bytes

RUNS = 7
BAR_S = 0.5
HEAVY = ("torch", "cv2", "onnxruntime", "av", "numpy", "PIL", "rich.progress")
HELP = ["-m", "styletransfer", "--help"]
RESULT = Path(__file__).parent / "results" / "import_time.json"


def cumulative_ms(importtime: str) -> dict[str, float]:
    """Module to milliseconds, submodules included, from what `-X importtime` prints."""
    times = {}
    for line in importtime.splitlines():
        columns = line.removeprefix("import time:").split("|")
        if line.startswith("import time:") and columns[1].strip().isdigit():
            times[columns[2].strip()] = int(columns[1]) / 1000
    return times


def main() -> int:
    """Measure, print, write the JSON, return the exit status."""
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "styletransfer", "--help"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    done = subprocess.run([sys.executable, "-X", "importtime", *HELP], check=True, capture_output=True, text=True)
    modules = cumulative_ms(done.stderr)
    heavy = [name for name in HEAVY if name in modules]
    best, median = min(seconds), sorted(seconds)[RUNS // 2]
    print(f"styletransfer --help: {best:.3f} s (best), {median:.3f} s (median of {RUNS})")
    print(f"heavy modules imported: {', '.join(heavy) or 'none'}")
    for name, milliseconds in sorted(modules.items(), key=lambda pair: -pair[1])[:10]:
        print(f"  {milliseconds:7.1f} ms  {name}")
    report = {"machine": describe(), "best_s": round(best, 3), "median_s": round(median, 3), "heavy": heavy}
    write_bytes(RESULT, (json.dumps(report, indent=2) + "\n").encode())
    return int(best >= BAR_S or "torch" in heavy or "cv2" in heavy)


if __name__ == "__main__":
    sys.exit(main())
