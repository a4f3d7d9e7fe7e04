"""How far equal numbers of photos bring a style: Adam against Muon, several batches.

    python benchmarks/optimiser.py PAINTING --photos DIR --unseen DIR                    # from scratch
    python benchmarks/optimiser.py PAINTING --photos DIR --unseen DIR --init STYLE.onnx --seen 400

Every training sees the same number of photos, so that all of them cost the same but for a few per cent. The objective
is the training's own, on photos of another folder, spread over it, at 256².
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from styletransfer.core.photos import find_photos
from styletransfer.core.settings import ARCHITECTURES, TrainSettings
from styletransfer.core.squares import load_squares
from styletransfer.training.checkpoint import build_network
from styletransfer.training.data import PhotoSampler, load_painting, to_bchw
from styletransfer.training.export import load_style
from styletransfer.training.hardware import tune_allocator
from styletransfer.training.loop import loss_window, rate_share
from styletransfer.training.losses import Objective
from styletransfer.training.muon import MuonAdam
from styletransfer.training.vgg import load_vgg

_SIDE = 256


def main() -> None:
    """Parse, train, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("painting", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--unseen", type=Path, required=True)
    parser.add_argument("--vgg", type=Path, required=True, help="VGG-16's weights, .safetensors or .pth")
    parser.add_argument("--network", choices=ARCHITECTURES, default="live")
    parser.add_argument("--init", type=Path, help="a style file to start from")
    parser.add_argument("--seen", type=int, default=1200, help="photos that each training sees")
    parser.add_argument("--trials", nargs="+", default=["adam:4", "muon:4", "muon:2", "muon:1"])
    parser.add_argument("--muon-rate", type=float, help="instead of the default")
    arguments = parser.parse_args()

    tune_allocator()
    photos = find_photos(arguments.photos)
    squares = load_squares(find_photos(arguments.unseen), arguments.unseen, 20, _SIDE, print)
    unseen = [to_bchw(frame) for frame in squares.values()]
    vgg = load_vgg(arguments.vgg).to(memory_format=torch.channels_last)
    settings = TrainSettings(architecture=arguments.network, image_size=_SIDE)
    objective = Objective(vgg, load_painting(arguments.painting, settings.style_size))
    for trial in arguments.trials:
        name, batch = trial.partition(":")[::2]
        torch.manual_seed(0)
        network = (load_style(arguments.init)[0] if arguments.init else build_network(settings)).to(
            memory_format=torch.channels_last
        )
        muon_rate = (arguments.muon_rate or settings.peak_muon_rate) if name == "muon" else 0.0
        optimiser = MuonAdam(network, settings.peak_rate, muon_rate)
        steps = arguments.seen // int(batch)
        started = time.perf_counter()
        for step, drawn in enumerate(PhotoSampler(photos, int(batch), settings.crop_size, 0).batches(0, steps, 1)):
            optimiser.set_share(rate_share(step, steps, warm=arguments.init is not None))
            photo = drawn.photos.float()
            optimiser.zero_grad()
            window = loss_window(settings, step)
            objective(network(photo)[window], photo[window], drawn.gradients).total().backward()
            optimiser.step()
        seconds = time.perf_counter() - started
        with torch.no_grad():
            losses = [float(objective(network(photo).clamp(0, 255).round(), photo).total()) for photo in unseen]
        print(f"{name} {batch}: {np.mean(losses):,.0f} after {steps} steps, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
