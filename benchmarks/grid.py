"""The grid that a style leaves in flat areas, in grey levels: hard to see below about 1.5, except in the dark.

    python benchmarks/grid.py                      # every shipped style
    python benchmarks/grid.py mine.onnx --json grid.json

Each style paints a grey field, a blue-sky gradient and a colour ramp, 384 × 384. The figure is the
amplitude at the grid frequencies of 2, 4 and 8 pixels (along x, along y, both) of the luminance
under a Hann window, above the median of the spectral neighbourhood (styletransfer.core.grid).
The table shows the worst of the three directions.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from styletransfer.core import zoo
from styletransfer.core.errors import StyleTransferError
from styletransfer.core.files import write_bytes
from styletransfer.core.grid import GRID_PERIODS_PX, grid
from styletransfer.runtime.stylizer import Stylizer

SIDE = 384
BAR_LEVELS = 1.5


def fields(side: int = SIDE) -> dict[str, NDArray[np.uint8]]:
    """Make the three smooth test pictures, RGB uint8 ``[side, side, 3]``."""
    t = np.linspace(0, 1, side)
    top, bottom = np.array([70, 130, 220]), np.array([200, 225, 245])
    sky = (top + (bottom - top) * t[:, None])[:, None, :]  # [side, 1, 3]
    ramp = 127.5 + 100 * np.cos(2 * np.pi * (t[:, None] - np.array([0, 1, 2]) / 3))[None]  # hues along x
    pictures = {"grey": np.full((1, 1, 3), 128.0), "sky": sky, "ramp": ramp}
    shape = (side, side, 3)
    return {
        name: np.ascontiguousarray(np.broadcast_to(np.rint(p), shape).astype(np.uint8)) for name, p in pictures.items()
    }


def measure_style(path: Path, provider: str) -> dict[str, dict[str, float]]:
    """Grid amplitudes of one style file on each field."""
    stylize = Stylizer(path, provider=provider)
    return {name: grid(stylize(frame)) for name, frame in fields().items()}


def main() -> int:
    """Measure, print the table, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="style names or .onnx files (default: every shipped style)")
    parser.add_argument("--provider", default="cpu")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--bar", type=float, default=BAR_LEVELS, help="exit with 1 above this many grey levels")
    arguments = parser.parse_args()

    results: dict[str, Any] = {}
    header = [f"{field} {period} px" for field in fields() for period in GRID_PERIODS_PX]
    print(f"{'style':24}" + "".join(f"{title:>10}" for title in header) + f"{'worst':>8}")
    for model in arguments.models or zoo.shipped():
        try:
            amplitudes = measure_style(zoo.resolve(model), arguments.provider)
        except StyleTransferError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        worst = max(max(of_field.values()) for of_field in amplitudes.values())
        cells = [
            max(of_field[f"{axis}{period}"] for axis in ("x", "y", "xy"))
            for of_field in amplitudes.values()
            for period in GRID_PERIODS_PX
        ]
        name = Path(model).stem
        print(f"{name:24}" + "".join(f"{cell:10.2f}" for cell in cells) + f"{worst:8.2f}")
        results[name] = {"worst": round(worst, 3), "fields": _rounded(amplitudes)}
    if not results:
        print("error: no shipped style found; name a style file", file=sys.stderr)
        return 1
    if arguments.json:
        report = {"unit": "grey levels", "side": SIDE, "bar": arguments.bar, "styles": results}
        write_bytes(arguments.json, (json.dumps(report, indent=2) + "\n").encode())
    return int(max(style["worst"] for style in results.values()) > arguments.bar)


def _rounded(amplitudes: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {field: {key: round(value, 3) for key, value in figures.items()} for field, figures in amplitudes.items()}


if __name__ == "__main__":
    sys.exit(main())
