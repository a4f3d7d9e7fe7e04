"""The optimisation at 256²: whether it falls, and whether scipy's L-BFGS-B comes as far on the same loss.

    python benchmarks/gatys.py --painting painting.jpg --photos photo.jpg another.jpg --json results/gatys.json
    python benchmarks/gatys.py --painting painting.jpg --photos photo.jpg --memory 256 512 1024

From the photo, in float32, the objective of the training; middles of the photos. ``scipy.optimize.minimize`` gets the
same loss with bounds 0..255, float64 arithmetic of its own and its own line search, and as many evaluations.
``--memory`` measures the peak of fresh processes beside what ``styletransfer gatys`` would have estimated.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from styletransfer.cli.machine import describe
from styletransfer.core.baseline import OBJECTIVES, GatysSettings
from styletransfer.core.files import write_bytes
from styletransfer.core.pictures import load_picture, resize_frame
from styletransfer.training.data import load_painting
from styletransfer.training.gatys import paint
from styletransfer.training.gatys_plan import Commission
from styletransfer.training.hardware import describe_device, tune_allocator
from styletransfer.training.losses import Objective
from styletransfer.training.optimise import PictureLoss, minimise, photo_objective, starting_picture
from styletransfer.training.vgg import load_vgg

SHOWN = (0, 10, 25, 50, 100, 200, 300, 500)


def square(path: Path, side: int) -> NDArray[np.uint8]:
    """The middle of a photo: RGB uint8 ``[side, side, 3]``."""
    frame = load_picture(path).frame_hwc
    short = min(frame.shape[:2])
    top, left = ((length - short) // 2 for length in frame.shape[:2])
    return resize_frame(np.ascontiguousarray(frame[top : top + short, left : left + short]), (side, side))


def ours(objective: PictureLoss, photo: torch.Tensor, start: str, iterations: int) -> list[float]:
    """The best value after every evaluation."""
    best: list[float] = []

    def on_iteration(_: int, terms: object, __: torch.Tensor) -> None:
        best.append(min([*best[-1:], terms.floats()["total"]]))

    minimise(objective, starting_picture(photo, start, 0), iterations, on_iteration=on_iteration)
    return best


def scipys(objective: PictureLoss, photo: torch.Tensor, start: str, iterations: int) -> list[float]:
    """The same from ``scipy.optimize``."""
    from scipy.optimize import minimize

    best: list[float] = []

    def evaluate(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        leaf = torch.from_numpy(flat.astype(np.float32)).view_as(photo).requires_grad_()
        total = objective(leaf.contiguous(memory_format=torch.channels_last)).total()
        (gradient,) = torch.autograd.grad(total, leaf)
        value = float(total.detach())
        best.append(min([*best[-1:], value]))
        return value, gradient.contiguous().numpy().ravel().astype(np.float64)

    first = starting_picture(photo, start, 0).numpy().ravel().astype(np.float64)
    options = {"maxfun": iterations + 1, "maxiter": iterations + 1, "maxcor": 20, "ftol": 0, "gtol": 0}
    minimize(evaluate, first, jac=True, method="L-BFGS-B", bounds=[(0, 255)] * first.size, options=options)
    return best[: iterations + 1]


def compare(arguments: argparse.Namespace) -> dict[str, object]:
    """Both on every photo."""
    vgg = load_vgg(arguments.vgg).to(memory_format=torch.channels_last)
    objective = Objective(vgg, load_painting(arguments.painting, arguments.style_size))
    shown = [index for index in SHOWN if index <= arguments.iterations]
    print(f"{arguments.size}², from the {arguments.start}; thousands after evaluation")
    print(f"{'':28}" + "".join(f"{index:>9}" for index in shown) + f"{'uphill':>8}{'s each':>8}")
    rows = []
    for path in arguments.photos:
        photo = torch.from_numpy(square(path, arguments.size)).permute(2, 0, 1)[None].float()
        loss = photo_objective(objective, photo)
        row: dict[str, object] = {"photo": path.name}
        for name, run in (("ours", ours), ("scipy", scipys)):
            started = time.perf_counter()
            best = run(loss, photo, arguments.start, arguments.iterations)
            each = (time.perf_counter() - started) / len(best)
            best += best[-1:] * (arguments.iterations + 1 - len(best))  # where it stopped early
            waits = sum(after == before for before, after in itertools.pairwise(best))
            print(f"{path.stem[:20]:20} {name:7}" + "".join(f"{best[index] / 1e3:9.2f}" for index in shown), end="")
            print(f"{waits:8}{each:8.2f}", flush=True)
            is_monotone = all(after <= before for before, after in itertools.pairwise(best))
            row[name] = {str(index): best[index] for index in shown} | {"monotone": is_monotone, "uphill": waits}
        row["ours_over_scipy"] = row["ours"][str(shown[-1])] / row["scipy"][str(shown[-1])]
        print(f"{'':21}ours / scipy after {shown[-1]}: {row['ours_over_scipy']:.4f}")
        rows.append(row)
    return {"size": arguments.size, "start": arguments.start, "style_size": arguments.style_size, "photos": rows}


def peak(arguments: argparse.Namespace) -> None:
    """Three iterations in this process, whose peak is printed."""
    import resource

    tune_allocator()
    size, objective, saves_memory = arguments.peak[0], arguments.peak[1], arguments.peak[2] == "True"
    settings = GatysSettings(sizes=(int(size),), iterations=(3,), objective=objective, style_size=arguments.style_size)
    commission = Commission(
        square(arguments.photos[0], int(size)), load_picture(arguments.painting).frame_hwc, settings
    )
    vgg = load_vgg(arguments.vgg)
    vgg.saves_memory = saves_memory
    started = time.perf_counter()
    paint(commission, vgg)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    history = 17 * 24 * int(size) ** 2  # the pairs that three iterations have not yet made
    print(json.dumps([used + history, commission.bytes_needed(saves_memory), (time.perf_counter() - started) / 4]))


def memory(arguments: argparse.Namespace) -> list[dict[str, object]]:
    """Peaks of fresh processes beside the estimates."""
    rows = []
    for objective in OBJECTIVES:
        for saves_memory in (False, True):
            for size in arguments.memory:
                command = [sys.executable, __file__, "--painting", arguments.painting, "--photos", arguments.photos[0]]
                command += ["--style-size", arguments.style_size, "--peak", size, objective, saves_memory]
                command += ["--vgg", arguments.vgg] if arguments.vgg else []
                text = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
                used, estimate, each = json.loads(text.stdout)
                name = f"{objective}, {'maps computed twice' if saves_memory else 'maps kept'}"
                print(f"{size:5}² {name:32} peak {used / 1e9:6.2f} GB, estimate {estimate / 1e9:6.2f} GB, {each:.2f} s")
                rows.append({"size": size, "objective": objective, "saves_memory": saves_memory})
                rows[-1] |= {"peak_bytes": used, "estimate_bytes": estimate}
    return rows


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--painting", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True, nargs="+")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--style-size", type=int, default=384)
    parser.add_argument("--start", choices=["photo", "noise"], default="photo")
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--memory", type=int, nargs="+", metavar="SIZE", help="measure peaks instead")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--vgg", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    if arguments.peak:
        peak(arguments)
        return
    tune_allocator()
    report = {"memory": memory(arguments)} if arguments.memory else compare(arguments)
    report |= {"device": describe_device(torch.device("cpu")), "machine": describe()}
    print(f"on {report['device']}")
    if arguments.json:
        write_bytes(arguments.json, json.dumps(report, indent=2).encode())


if __name__ == "__main__":
    main()
