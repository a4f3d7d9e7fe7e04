"""Seconds for a training step: the network alone, the losses, the backward pass, the optimiser.

    python benchmarks/train_step.py                       # live 64, batch 4 at 256², this machine's own precision
    python benchmarks/train_step.py --network johnson --precision float32

Random weights and pictures: the time does not depend on them. The best and the median of ``--repeats`` steps.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from styletransfer.cli.machine import describe
from styletransfer.core.files import write_bytes
from styletransfer.core.settings import ARCHITECTURES, TrainSettings
from styletransfer.training.checkpoint import build_network
from styletransfer.training.hardware import describe_device, loss_dtype, tune_allocator
from styletransfer.training.loop import loss_window
from styletransfer.training.losses import Objective
from styletransfer.training.muon import MuonAdam
from styletransfer.training.vgg import VGGFeatures


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=ARCHITECTURES, default="live")
    parser.add_argument("--channels", type=int, default=0)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    tune_allocator()
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = loss_dtype(device) if arguments.precision == "auto" else getattr(torch, arguments.precision)
    settings = TrainSettings(architecture=arguments.network, channels=arguments.channels, image_size=arguments.size)
    window = loss_window(settings, 0)
    network = build_network(settings).to(device).to(memory_format=torch.channels_last)
    vgg = VGGFeatures().to(device).to(memory_format=torch.channels_last).to(dtype)
    photo = (torch.rand(arguments.batch, 3, settings.crop_size, settings.crop_size, device=device) * 255).contiguous(
        memory_format=torch.channels_last
    )
    objective = Objective(vgg, torch.rand(1, 3, 304, 384, device=device) * 255)
    optimiser = MuonAdam(network, settings.peak_rate, settings.peak_muon_rate)
    optimiser.set_share(0.01)

    def clock() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def step() -> list[float]:
        times = [clock()]
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            stylized = network(photo)
        times.append(clock())
        total = objective(stylized[window].float(), photo[window]).total()
        times.append(clock())
        optimiser.zero_grad()
        total.backward()
        times.append(clock())
        optimiser.step()
        times.append(clock())
        return list(np.diff(times))

    for _ in range(3):
        step()
    rows = np.array([step() for _ in range(arguments.repeats)])
    parts = dict(
        zip(("network", "losses", "backward", "optimiser"), np.median(rows, axis=0).round(4).tolist(), strict=True)
    )
    totals = rows.sum(axis=1)
    print(f"{arguments.network} {settings.width}, batch {arguments.batch} at {arguments.size}², {dtype}")
    print(f"on {describe_device(device)}; AMX: {torch.cpu._is_amx_tile_supported()}")
    shares = ", ".join(f"{name} {seconds:.3f}" for name, seconds in parts.items())
    print(f"step {np.median(totals):.3f} s (best {totals.min():.3f}); {shares}")
    if arguments.json:
        report = {"step_s": round(float(np.median(totals)), 4), "best_s": round(float(totals.min()), 4), **parts}
        report |= {"dtype": str(dtype), "network": arguments.network, "width": settings.width, "machine": describe()}
        write_bytes(arguments.json, json.dumps(report, indent=2).encode())


if __name__ == "__main__":
    main()
