"""One small ×4 network, fine-tuned from one L1 start under each loss for equal time: table, CSV, plot and crops.

    export STYLETRANSFER_MDF=FOLDER   # the authors' discriminators
    python benchmarks/loss_study.py --photos train --sets Set5 Set14 BSD100 --minutes 30 --start-minutes 60 --work study

What is in ``--work`` already is kept: run again after an interruption, it goes on. The question is that of Mustafa et
al. (Training a task-specific image reconstruction loss. WACV 2022): whether MDF has the least distortion and the best
quality; the page says which loss has. Each weighted sum has the weight at which its second term's gradient is about as
strong as L1's, measured on bicubic enlargements (``--gradients`` prints it). Adam makes a loss's own scale immaterial.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from styletransfer.cli.machine import describe
from styletransfer.cli.restore_tables import as_markdown
from styletransfer.core.card import ModelCard
from styletransfer.core.damage import (
    Restoring,
    as_bytes,
    load_photo,
    make_sample,
    measure,
    restore_baseline,
    restore_by,
)
from styletransfer.core.errors import StyleTransferError
from styletransfer.core.files import write_bytes
from styletransfer.core.panels import Panel, draw_panels
from styletransfer.core.photos import find_photos
from styletransfer.core.pictures import Picture, save_picture
from styletransfer.core.restoration import METRICS, RestoreEvalSettings, summarise
from styletransfer.core.restoration_csv import read_rows
from styletransfer.runtime.restorer import Restorer

LOSSES = {
    "l1": "l1",
    "l2": "l2",
    "ms_ssim_l1": "ms_ssim_l1",
    "vgg": "l1 + 0.03*vgg22",
    "stlpips": "l1 + 0.05*stlpips",
    "contextual": "l1 + 0.003*contextual",
    "gan": "l1 + 0.03*vgg22 + 0.007*gan",
    "mdf": "mdf_sisr",
}
"""Names in the tables and figures, and what is trained."""

START = "start"
SETTINGS = RestoreEvalSettings(metrics=("psnr_y", "ssim_y"))
CROP_PX = 96
FEWEST_STEPS = 100
"""Of fine-tuning, for a network to be judged."""

CANDIDATES = 5  # photos of each set in which the window is sought where the results differ most


def styletransfer(*arguments: object) -> int:
    """Run one command of the package; its exit status."""
    command = [sys.executable, "-m", "styletransfer", *map(str, arguments)]
    print("$ " + shlex.join(["styletransfer", *command[3:]]), flush=True)
    return subprocess.run(command, check=False).returncode


def train(name: str, loss: str, minutes: float, arguments: argparse.Namespace, start: Path | None) -> Path | None:
    """The file of one network: what ``--work`` has, or a new training; None where it failed."""
    out = arguments.work / f"{name}.onnx"
    if not out.exists():
        options: list[object] = ["--task", "sr", "--scale", SETTINGS.scale, "--net", "compact", "--loss", loss]
        options += ["--photos", arguments.photos, "--minutes", minutes, "--seed", arguments.seed, "-o", out]
        options += ["--init", start, "--learning-rate", arguments.learning_rate] if start else []
        options += shlex.split(arguments.options)
        options += ["--resume"] if out.with_suffix(".training").exists() else []
        if styletransfer("train-restore", *options):
            return None
    trained = card_of(out).training
    if trained.get("loss") != loss or trained.get("minutes") != minutes:
        had = f"{trained.get('loss')} for {trained.get('minutes')} minutes"
        print(f"error: {out}: was trained with {had}; name another folder with --work", file=sys.stderr)
        return None
    return out


def card_of(path: Path) -> ModelCard:
    """The card of a restoration file."""
    return Restorer(path, "cpu").card


def crops(networks: dict[str, Path], folder: Path) -> tuple[str, NDArray[np.uint8]]:
    """One photo's name, and the window of it in which the networks differ most: the original, bicubic and all results.

    Of each picture stands the PSNR of Y over the whole photo below it.
    """
    restorers = {name: Restoring(Restorer(path, "cpu")) for name, path in networks.items()}
    files = find_photos(folder)
    best: tuple[float, str, list[Panel]] = (-1.0, "", [])
    for path in files[:: max(1, len(files) // CANDIDATES)][:CANDIDATES]:
        photo, is_grey = load_photo(path)
        sample = make_sample(photo, path.name, SETTINGS, is_grey=is_grey)
        results = {"bicubic": restore_baseline(sample.damaged, SETTINGS)}
        results |= {name: as_bytes(restore_by(model, sample.damaged)) for name, model in restorers.items()}
        spread = np.std([np.atleast_3d(result).mean(2) for result in list(results.values())[1:]], axis=0)
        top, left, strength = strongest(spread, CROP_PX)
        if strength > best[0]:
            panels = [Panel("original", window(sample.target, top, left))]
            for name, result in results.items():
                psnr = measure(result, sample.target, SETTINGS, {})["psnr_y"]
                panels.append(Panel(name, window(result, top, left), (f"{psnr:.2f} dB",)))
            best = (strength, path.name, panels)
    half = (len(best[2]) + 1) // 2
    rows = [draw_panels(best[2][:half], 2 * CROP_PX), draw_panels(best[2][half:], 2 * CROP_PX)]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return best[1], np.concatenate(padded)


def strongest(spread_hw: NDArray[np.floating[Any]], side: int) -> tuple[int, int, float]:
    """Top, left and mean of the window of ``side`` pixels with the highest mean, on a raster of 8 pixels."""
    found = [
        (float(spread_hw[top : top + side, left : left + side].mean()), top, left)
        for top in range(0, max(1, spread_hw.shape[0] - side + 1), 8)
        for left in range(0, max(1, spread_hw.shape[1] - side + 1), 8)
    ]
    strength, top, left = max(found)
    return top, left, strength


def window(picture: NDArray[np.uint8], top: int, left: int) -> NDArray[np.uint8]:
    """The crop as RGB, every pixel doubled."""
    part = np.atleast_3d(picture[top : top + CROP_PX, left : left + CROP_PX])
    return np.ascontiguousarray(np.broadcast_to(part, (*part.shape[:2], 3)).repeat(2, axis=0).repeat(2, axis=1))


def findings(summary: list[dict[str, Any]], steps: dict[str, int]) -> str:
    """Which network is best by each measure, and what that says of the article's claim.

    Networks whose loss is so slow that the time was enough for next to no steps are left out, and named.
    """
    lines, is_best = [], []
    early = [name for name, done in steps.items() if done < FEWEST_STEPS and name != START]
    for table in summary:
        left_out = (START, "bicubic", *early)
        tuned = {name: model for name, model in table["models"].items() if name not in left_out}
        best = {}
        for metric in METRICS:
            if tuned and all(metric in model for model in tuned.values()):
                pick = max if METRICS[metric].is_higher_better else min
                best[metric] = pick(tuned, key=lambda name, metric=metric: tuned[name][metric])
        lines.append(
            f"- {table['set']}: "
            + ", ".join(f"{METRICS[m].title.split(',')[0]} **{name}**" for m, name in best.items())
        )
        is_best.append(all(name == "mdf" for metric, name in best.items() if metric in ("psnr_y", "jod")))
    verdict = "holds here on every set" if all(is_best) else "does not hold here on every set"
    claims = []
    if early:
        claims.append(f"{', '.join(early)}: fewer than {FEWEST_STEPS} steps in that time, which says nothing yet.")
    if "mdf" in steps:
        claim = "The article's claim, that MDF has the least distortion and the best quality,"
        claims.append(f"{claim} {'was not tested' if 'mdf' in early else verdict}.")
    return "\n".join(["Best of the fine-tuned networks:", "", *lines, "", *claims]).rstrip() + "\n"


def page(networks: dict[str, Path], summary: list[dict[str, Any]], arguments: argparse.Namespace) -> str:
    """The page, without the crops."""
    cards = {name: card_of(path) for name, path in networks.items()}
    first = next(iter(cards.values()))
    size = f"{first.training.get('layers')} layers of {first.channels} channels"
    rows = "\n".join(
        f"| {name} | `{card.training['loss']}` | {card.training['minutes']:g} | {card.training['steps_done']:,} |"
        for name, card in cards.items()
    )
    plot = os.path.relpath(arguments.plot, arguments.page.parent)
    steps = {name: int(card.training["steps_done"]) for name, card in cards.items()}
    return (
        "# Which loss for ×4 super-resolution?\n\n"
        f"One `compact` network ({size}), trained with L1 (`{START}`) and fine-tuned from there under each loss for "
        f"equal time, on {first.training.get('device')} ({describe()['cpu']}). Made by "
        "`benchmarks/loss_study.py`. A * marks a measure that the network was trained by.\n\n"
        f"| network | loss | minutes | steps |\n| --- | --- | ---: | ---: |\n{rows}\n\n"
        f"{as_markdown(summary)}\n{findings(summary, steps)}\n"
        f"Low distortion lies at the left, good quality at the bottom:\n\n![Perception and distortion]({plot})\n"
    )


def gradients(photos: Path) -> None:
    """Print every loss's gradient at bicubic enlargements of patches, against L1's."""
    import torch

    from styletransfer.training.losses.expression import build_loss, parse_loss

    samples = [make_sample(load_photo(path)[0], path.name, SETTINGS) for path in find_photos(photos)[:4]]
    middle = [tuple(side // 2 - 48 for side in sample.target.shape[:2]) for sample in samples]
    pairs = [
        [picture[top : top + 96, left : left + 96] for picture in (restore_baseline(s.damaged, SETTINGS), s.target)]
        for s, (top, left) in zip(samples, middle, strict=True)
    ]
    restored, target = (
        torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2).float() / 255 for part in zip(*pairs, strict=True)
    )
    unit = 1.0
    for name in dict.fromkeys(term for text in LOSSES.values() for _, term in parse_loss(text)):
        leaf = restored.clone().requires_grad_()
        total, _ = build_loss(name)(leaf, target)
        strength = float(torch.autograd.grad(total, leaf)[0].norm())
        unit = strength if name == "l1" else unit
        print(f"{name:12} loss {float(total.detach()):9.4g}   gradient {strength / unit:8.3g} × l1's")


def main() -> int:
    """Train, evaluate, draw and write; 1 where a network failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="training photos")
    parser.add_argument("--sets", type=Path, nargs="+", default=[], help="folders of the test sets")
    parser.add_argument("--minutes", type=float, default=30, help="of fine-tuning under each loss")
    parser.add_argument("--start", type=Path, help="the L1 network to start from; else it is trained first")
    parser.add_argument("--start-minutes", type=float, default=60)
    parser.add_argument("--losses", nargs="+", default=list(LOSSES), help="names, or NAME=EXPRESSION for others")
    parser.add_argument("--learning-rate", type=float, default=5e-4, help="peak, of the fine-tuning")
    parser.add_argument("--options", default="", help="more options of every `train-restore`, in one string")
    parser.add_argument("--metrics", default="psnr_y,ssim_y,stlpips,jod")
    parser.add_argument("--count", type=int, default=0, help="photos of each set; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("loss_study"), help="networks and their trainings")
    parser.add_argument("--page", type=Path, default=Path("docs/loss_study.md"))
    parser.add_argument("--csv", type=Path, default=Path("docs/loss_study/rows.csv"))
    parser.add_argument("--plot", type=Path, default=Path("docs/loss_study/plot.png"))
    parser.add_argument("--gradients", action="store_true", help="only print the losses' gradients")
    arguments = parser.parse_args()
    try:
        if arguments.gradients:
            gradients(arguments.photos)
            return 0
        return study(arguments)
    except StyleTransferError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def study(arguments: argparse.Namespace) -> int:
    """Everything but the options."""
    wanted = {name.split("=", 1)[0]: name.split("=", 1)[-1] for name in arguments.losses}
    wanted = {name: LOSSES.get(name, text) if text == name else text for name, text in wanted.items()}
    if not arguments.sets:
        print("error: name the folders of the test sets with --sets", file=sys.stderr)
        return 1
    if arguments.start:
        start: Path | None = arguments.work / f"{START}.onnx"  # under this name in the tables
        write_bytes(start, arguments.start.read_bytes())
    else:
        start = train(START, "l1", arguments.start_minutes, arguments, None)
    if start is None:
        return 1
    networks = {START: start}
    for name, loss in wanted.items():
        trained = train(name, loss, arguments.minutes, arguments, start)
        if trained is not None:
            networks[name] = trained
    if wanted and len(networks) == 1:
        print("error: not one of the losses could be trained; there is nothing to compare", file=sys.stderr)
        return 1
    rows_file = arguments.work / "rows.csv"
    rows_file.unlink(missing_ok=True)
    options: list[object] = ["--metrics", arguments.metrics, "--count", arguments.count, "--csv", rows_file]
    options += [part for folder in arguments.sets for part in ("--photos", folder)]
    if styletransfer("evaluate-restore", *networks.values(), *options, "--plot", arguments.plot):
        return 1
    by_distance = arguments.plot.with_name(f"{arguments.plot.stem}_stlpips{arguments.plot.suffix}")
    if {"stlpips", "jod"} <= set(arguments.metrics.split(",")):  # without jod the plot above is that already
        styletransfer("evaluate-restore", "--from", rows_file, "--plot", by_distance, "--axes", "psnr_y,stlpips")
    write_bytes(arguments.csv, rows_file.read_bytes())
    summary = summarise(read_rows(rows_file))
    text = page(networks, summary, arguments)
    if by_distance.exists():
        text += f"\n![The same by ST-LPIPS]({os.path.relpath(by_distance, arguments.page.parent)})\n"
    for folder in arguments.sets:
        photo, sheet = crops(networks, folder)
        picture = arguments.plot.with_name(f"{arguments.plot.stem}_{folder.name.lower()}.png")
        save_picture(Picture(sheet), picture)
        place = os.path.relpath(picture, arguments.page.parent)
        text += f"\n{folder.name}, {photo}, where the networks differ most (PSNR of Y of the whole photo):\n\n"
        text += f"![{folder.name}]({place})\n"
    write_bytes(arguments.page, text.encode())
    print(f"{arguments.page}\n{arguments.csv}\n{arguments.plot}")
    failed = sorted(set(wanted) - set(networks))
    print(json.dumps({"networks": sorted(networks), "failed": failed}))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
