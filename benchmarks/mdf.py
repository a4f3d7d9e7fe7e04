"""Do MDF's discriminators rank distortions by their strength? Ours, trained here, beside the authors'.

    python benchmarks/mdf.py PICTURE --photos DIR                    # 2000 iterations a scale: hours on a processor
    python benchmarks/mdf.py PICTURE --photos DIR --iterations 100 --json benchmarks/results/mdf.json

Trains discriminators on PICTURE against JPEG and against enlarging, and measures the loss between each photo of DIR
and its distorted versions: JPEG of quality 10, 20, 40, and reduced by 4 and by 2 (MATLAB's bicubic) and enlarged
again. A stronger distortion must have the larger loss. The authors' discriminators are measured where
STYLETRANSFER_MDF names their folder.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from styletransfer.core.bicubic import imresize, modcrop
from styletransfer.core.damage import through_jpeg
from styletransfer.core.errors import InputError, StyleTransferError
from styletransfer.core.files import write_bytes
from styletransfer.core.photos import find_photos
from styletransfer.core.pictures import load_picture
from styletransfer.core.settings_mdf import MdfSettings
from styletransfer.training.data import to_bchw
from styletransfer.training.losses.mdf import MDFLoss, read_discriminators, released_file, write_discriminators
from styletransfer.training.mdf_training import PyramidTraining

Frame = NDArray[np.uint8]

# strongest first, which is how they must rank
DISTORTIONS: dict[str, dict[str, Callable[[Frame], Frame]]] = {
    "jpeg": {
        f"JPEG {quality}": lambda photo, quality=quality: through_jpeg(photo, quality) for quality in (10, 20, 40)
    },
    "sr": {f"x{scale}": lambda photo, scale=scale: reduced(photo, scale) for scale in (4, 2)},
}
RELEASED = {"jpeg": "jpeg", "sr": "sisr"}


def reduced(photo_hwc: Frame, scale: int) -> Frame:
    """The photo after reducing and enlarging it."""
    return imresize(imresize(photo_hwc, 1 / scale), photo_hwc.shape[:2])


def main() -> int:
    """Train, measure, print; 1 where a ranking is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path, help="what the discriminators are trained on")
    parser.add_argument("--photos", type=Path, required=True, help="folder of the photos that are measured")
    parser.add_argument("--iterations", type=int, default=2000, help="a scale")
    parser.add_argument("--size", type=int, default=250, help="longer side of the largest scale, pixels")
    parser.add_argument("--count", type=int, default=20, help="photos that are measured")
    parser.add_argument("--crop", type=int, default=128, help="side of the middle that is measured, pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--keep", type=Path, help="folder for the discriminators trained here")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    try:
        results = measure(arguments)
    except StyleTransferError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        write_bytes(arguments.json, (json.dumps(results, indent=2) + "\n").encode())
    return int(not all(row["is_ranked"] for row in results["losses"]))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """The table's rows, printed as they come."""
    photos = (load_picture(path).frame_hwc for path in find_photos(arguments.photos))
    large = (photo for photo in photos if min(photo.shape[:2]) >= arguments.crop)
    crops = [middle(photo, arguments.crop) for photo in itertools.islice(large, arguments.count)]
    if not crops:
        raise InputError(f"{arguments.photos}: no photo of {arguments.crop} pixels a side; use a smaller --crop")
    print(f"MDF on {len(crops)} photos, mean; in brackets the photos that rank right")
    rows = []
    for task, distortions in DISTORTIONS.items():
        for name, loss, seconds in losses(task, arguments):
            values = np.array(
                [[distance(loss, distort(crop), crop) for distort in distortions.values()] for crop in crops]
            )
            right = int((np.diff(values, axis=1) < 0).all(1).sum())
            means = dict(zip(distortions, values.mean(0).round(5).tolist(), strict=True))
            row = {"discriminators": name, "task": task, "means": means, "photos_right": right, "train_s": seconds}
            row["is_ranked"] = bool((np.diff(values.mean(0)) < 0).all())
            rows.append(row)
            listed = "  ".join(f"{what} {value:.4f}" for what, value in means.items())
            print(f"{name:28} {listed}  ({right}/{len(crops)}) {'ok' if row['is_ranked'] else 'WRONG'}", flush=True)
    return {
        "picture": arguments.picture.name,
        "photos": len(crops),
        "crop": arguments.crop,
        "iterations": arguments.iterations,
        "size": arguments.size,
        "losses": rows,
    }


def losses(task: str, arguments: argparse.Namespace) -> list[tuple[str, MDFLoss, float | None]]:
    """The authors' loss, where it is there, and ours: name, loss, seconds of training."""
    found: list[tuple[str, MDFLoss, float | None]] = []
    try:
        found.append((f"released, {task}", MDFLoss(read_discriminators(released_file(RELEASED[task]))), None))
    except InputError as error:
        print(f"released, {task}: left out ({error})")
    settings = MdfSettings(task, arguments.iterations, arguments.size, arguments.seed)
    training = PyramidTraining(load_picture(arguments.picture).frame_hwc, settings, torch.device(arguments.device))
    start = time.perf_counter()
    training.run()
    seconds = round(time.perf_counter() - start, 1)
    if arguments.keep:
        path = arguments.keep / f"mdf_{task}.safetensors"
        write_discriminators(path, training.discriminators, f"benchmarks/mdf.py: {settings}")
    cpu = [discriminator.cpu() for discriminator in training.discriminators]
    found.append((f"ours, {task}, {arguments.iterations} x {len(cpu)}", MDFLoss(cpu), seconds))
    return found


def middle(photo_hwc: Frame, side: int) -> Frame:
    """The middle of a photo, ``[side, side, 3]`` with the side a multiple of 4."""
    top, left = ((length - side) // 2 for length in photo_hwc.shape[:2])
    return np.ascontiguousarray(modcrop(photo_hwc[top : top + side, left : left + side], 4))


def distance(loss: MDFLoss, distorted_hwc: Frame, photo_hwc: Frame) -> float:
    """The loss of a distorted photo."""
    with torch.no_grad():
        return float(loss(to_bchw(distorted_hwc) / 255, to_bchw(photo_hwc) / 255))


if __name__ == "__main__":
    sys.exit(main())
