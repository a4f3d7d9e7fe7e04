"""The objective of Johnson et al. on photos that a style never saw, as a share of the untouched photo's.

    python benchmarks/objective.py mine.onnx --painting painting.jpg --photos DIR --count 20

Content relu2_2 × 1 + 5 × Σ mean squared Gram differences + 1e-6 × total variation, VGG-16 on 0..255 in float32,
photos scaled and cropped to 256 × 256, outputs as the uint8 that a user gets. The first ``--count`` photos of the
folder, spread evenly over it, are taken: choose a folder that the style was not trained on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from styletransfer.core.files import write_bytes
from styletransfer.core.pictures import load_picture
from styletransfer.core.zoo import resolve
from styletransfer.runtime.stylizer import Stylizer
from styletransfer.training.data import find_photos, load_painting
from styletransfer.training.losses import (
    CONTENT_LAYER,
    STYLE_LAYERS,
    content_loss,
    gram_matrix,
    style_loss,
    total_variation,
)
from styletransfer.training.vgg import VGGFeatures, load_vgg

SIDE = 256
STYLE_WEIGHT, TV_WEIGHT = 5.0, 1e-6


def square(path: Path, side: int = SIDE) -> NDArray[np.uint8]:
    """The middle of a photo, its shorter side scaled to ``side``: RGB uint8 ``[side, side, 3]``."""
    image = Image.fromarray(load_picture(path).frame_hwc)
    scale = side / min(image.size)
    image = image.resize([max(side, round(length * scale)) for length in image.size], Image.Resampling.BICUBIC)
    left, top = ((length - side) // 2 for length in image.size)
    return np.asarray(image.crop((left, top, left + side, top + side)))


def to_bchw(frame: NDArray[np.uint8]) -> torch.Tensor:
    """uint8 ``[H, W, 3]`` to float32 ``[1, 3, H, W]``, 0..255."""
    return torch.from_numpy(np.array(frame)).permute(2, 0, 1)[None].float()


@torch.no_grad()
def terms(vgg: VGGFeatures, grams: dict[str, torch.Tensor], result: torch.Tensor, photo: torch.Tensor) -> list[float]:
    """Weighted content, style and TV of one picture against its photo."""
    features = vgg(result)
    target = vgg(photo, last=CONTENT_LAYER)[CONTENT_LAYER]
    style = sum(float(style_loss(gram_matrix(features[name]), grams[name])) for name in STYLE_LAYERS)
    content = float(content_loss(features[CONTENT_LAYER], target))
    return [content, STYLE_WEIGHT * style, TV_WEIGHT * float(total_variation(result))]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="style names or .onnx files, all of the same painting")
    parser.add_argument("--painting", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--style-size", type=int, default=384)
    parser.add_argument("--vgg", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    vgg = load_vgg(arguments.vgg)
    features = vgg(load_painting(arguments.painting, arguments.style_size))
    grams = {name: gram_matrix(features[name]).detach() for name in STYLE_LAYERS}
    found = find_photos(arguments.photos)
    frames = [square(found[index * len(found) // arguments.count]) for index in range(arguments.count)]

    def row(results: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
        pairs = zip(results, frames, strict=True)
        return np.mean([terms(vgg, grams, to_bchw(result), to_bchw(photo)) for result, photo in pairs], axis=0)

    untouched = row(frames)
    report = {"photos": arguments.count, "untouched": untouched.sum(), "models": {}}
    print(f"{'':24}{'content':>12}{'style':>12}{'tv':>8}{'total':>12}{'share':>9}")
    print(f"{'untouched photo':24}{0:12,.0f}{untouched[1]:12,.0f}{untouched[2]:8,.0f}{untouched.sum():12,.0f}")
    for model in arguments.models:
        stylize = Stylizer(resolve(model), provider="cpu")
        means = row([stylize(frame) for frame in frames])
        share = means.sum() / untouched.sum()
        print(f"{stylize.name:24}{means[0]:12,.0f}{means[1]:12,.0f}{means[2]:8,.0f}{means.sum():12,.0f}{share:9.2%}")
        report["models"][stylize.name] = dict(
            zip(("content", "style", "tv", "total", "share"), [*means, means.sum(), share], strict=True)
        )
    if arguments.json:
        write_bytes(arguments.json, json.dumps(report, indent=2).encode())


if __name__ == "__main__":
    main()
