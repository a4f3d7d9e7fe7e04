"""What needs no network, against the figures that the literature prints: a check of our resizing, damage and measures.

    python benchmarks/restore_baselines.py --data restoration --json results/restore_baselines.json

Bicubic ×4 on Y, border of 4 left out; JPEG of quality 10 of rounded Y; Gaussian noise of σ 25, unclipped. ``--data``
holds the folders Set5, Set14, BSD100, LIVE1 and Classic5, and bsd68.txt (names of BSD100's photos that make up BSD68).

Set14 has two published figures. VDSR (Kim et al. 2016) and its successors print 26.00 dB: one of the fourteen files,
`bridge`, has a single channel, which their code takes as Y itself, 0..255 in place of 16..235. LapSRN (Lai et al. 2017)
prints 26.10 of copies whose files all have three. ``--grey-file`` names the file where a copy has lost that.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from styletransfer.core.bicubic import imresize, modcrop
from styletransfer.core.colour import luminance
from styletransfer.core.damage import Frame, add_noise, as_bytes, load_photo, through_jpeg
from styletransfer.core.errors import StyleTransferError
from styletransfer.core.fidelity import luma, psnr_y_db, ssim_y
from styletransfer.core.files import write_bytes
from styletransfer.core.photos import find_photos

SCALE = 4
BAR_DB = 0.02


def bicubic(photo_hwc: Frame, *, is_grey: bool) -> tuple[float, float]:
    """PSNR and SSIM of Y after ÷4 and ×4."""
    target = modcrop(photo_hwc[..., 0] if is_grey else photo_hwc, SCALE)
    enlarged = imresize(imresize(target, 1 / SCALE), float(SCALE))
    return psnr_y_db(enlarged, target, SCALE), ssim_y(enlarged, target, SCALE)


def jpeg(photo_hwc: Frame, *, is_grey: bool) -> tuple[float, float]:
    """PSNR and SSIM of rounded Y after a grey JPEG of quality 10."""
    target = photo_hwc[..., 0] if is_grey else as_bytes(luma(photo_hwc))
    damaged = through_jpeg(target, 10)
    return psnr_y_db(damaged, target), ssim_y(damaged, target)


def noise(photo_hwc: Frame, *, is_grey: bool) -> tuple[float, float]:
    """PSNR and SSIM of the luminance under unclipped noise."""
    del is_grey
    target = as_bytes(luminance(photo_hwc))
    damaged = add_noise(target, 25.0, (0, int(target[0, 0]), *target.shape))
    return psnr_y_db(damaged, target), ssim_y(damaged, target)


def measure(files: list[Path], of: Callable[..., tuple[float, float]], grey: set[str]) -> dict[str, float]:
    """Means over the files; those named in ``grey`` are taken to have one channel."""
    found = []
    for path in files:
        photo, is_grey = load_photo(path)
        found.append(of(photo, is_grey=is_grey or path.name in grey))
    psnr, ssim = (statistics.fmean(column) for column in zip(*found, strict=True))
    return {"psnr_y_db": round(psnr, 4), "ssim_y": round(ssim, 5), "photos": len(files)}


def main() -> int:
    """Measure, print the table, return the exit status: 1 where a figure misses its bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--grey-file", default="img_003.webp", help="Set14's `bridge`, in copies that are all RGB")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    bridge = {arguments.grey_file}
    rows: list[tuple[str, str, Callable[..., tuple[float, float]], set[str], float]] = [
        ("bicubic ×4", "Set5", bicubic, set(), 28.43),
        ("bicubic ×4, bridge grey", "Set14", bicubic, bridge, 26.00),
        ("bicubic ×4, all RGB", "Set14", bicubic, set(), 26.10),
        ("bicubic ×4", "BSD100", bicubic, set(), 25.96),
        ("JPEG q 10", "LIVE1", jpeg, set(), 27.77),
        ("JPEG q 10", "Classic5", jpeg, set(), 27.82),
        ("noise σ 25", "BSD68", noise, set(), 20.17),
    ]
    results: list[dict[str, Any]] = []
    print(f"{'':26}{'set':10}{'photos':>7}{'PSNR Y':>9}{'published':>11}{'SSIM Y':>9}")
    for name, of_set, of, grey, published in rows:
        try:
            files = find_photos(arguments.data / ("BSD100" if of_set == "BSD68" else of_set))
            if of_set == "BSD68":
                names = set((arguments.data / "bsd68.txt").read_text().split())
                files = [path for path in files if path.name in names]
            figures = measure(files, of, grey)
        except (StyleTransferError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        holds = bool(np.isclose(figures["psnr_y_db"], published, rtol=0, atol=BAR_DB))
        results.append({"what": name, "set": of_set, **figures, "published_db": published, "holds": holds})
        print(
            f"{name:26}{of_set:10}{figures['photos']:7}{figures['psnr_y_db']:9.3f}{published:11.2f}"
            f"{figures['ssim_y']:9.4f}{'' if holds else '  misses'}",
            flush=True,
        )
    if arguments.json:
        write_bytes(arguments.json, (json.dumps({"bar_db": BAR_DB, "results": results}, indent=2) + "\n").encode())
    return int(not all(row["holds"] for row in results))


if __name__ == "__main__":
    sys.exit(main())
