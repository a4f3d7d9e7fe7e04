"""``styletransfer compare``: photo, painting, optimisation and network in one picture."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from styletransfer.cli.common import ModelOption, ProviderOption, progress, stderr
from styletransfer.cli.lossnet import DeviceOption, VggOption, device_for, fit_memory, load_lossnet
from styletransfer.cli.targets import Taken
from styletransfer.core.errors import InputError, OutputError, SettingsError, StoppedError
from styletransfer.core.interrupts import interruption
from styletransfer.core.yardstick import (
    MAX_SIDE,
    MIN_SIDE,
    MIN_STYLE_SIDE,
    OBJECTIVES,
    STARTS,
    TERMS,
    describe_equal,
    equal_iterations,
    short,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from styletransfer.core.panels import Panel
    from styletransfer.runtime.stylizer import Stylizer
    from styletransfer.training.comparison import Comparison
    from styletransfer.training.losses import Objective

_LINE_EVERY = 50  # iterations between lines where stderr is no terminal


def compare(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="The photo, a picture file.")],
    painting: Annotated[Path, typer.Argument(metavar="PAINTING", help="The painting that the style was trained on.")],
    model: ModelOption,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The picture to make. [default: PHOTO-STYLE-compare.png, beside the photo]"
        ),
    ] = None,
    iterations: Annotated[int, typer.Option("--iterations", min=1, help="Of the optimisation (L-BFGS).")] = 300,
    start: Annotated[str, typer.Option("--start", help="What it starts from: photo or noise.")] = "photo",
    size: Annotated[int, typer.Option("--size", help="Longer side of the pictures, pixels.")] = 512,
    objective: Annotated[
        str, typer.Option("--objective", help=f"{'; '.join(f'{name}: {what}' for name, what in OBJECTIVES.items())}.")
    ] = "training",
    style_size: Annotated[
        int, typer.Option("--style-size", help="Longer side of the painting, pixels, as in the training.")
    ] = 384,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the noise.")] = 0,
    provider: ProviderOption = "auto",
    device: DeviceOption = "auto",
    vgg: VggOption = None,
) -> None:
    """Show PHOTO, PAINTING, optimisation (Gatys et al. 2016) and network side by side, with times and losses."""
    _check(start, objective, size, style_size)
    from styletransfer.core import zoo
    from styletransfer.core.pictures import Picture, format_of, load_picture, save_picture

    path = zoo.resolve(model)
    target = out or photo.with_name(f"{photo.stem}-{path.stem}-compare.png")
    if target.is_dir():
        raise OutputError(f"{target}: is a folder; name a picture file with -o")
    format_of(target)
    taken = Taken([photo, painting])
    taken.check(target)
    if not painting.is_file():
        raise InputError(f"{painting}: no such painting")
    frame = load_picture(photo, longest=size).frame_hwc
    if min(frame.shape[:2]) < MIN_SIDE:
        raise InputError(f"{photo}: its shorter side has {min(frame.shape[:2])} pixels; at least {MIN_SIDE} are needed")
    on = device_for(device, "compare with the optimisation")

    from styletransfer.runtime.stylizer import Stylizer
    from styletransfer.training.data import load_painting
    from styletransfer.training.evaluate import make_objective
    from styletransfer.training.hardware import describe_device

    stylize = Stylizer(path, provider=provider)
    painting_bchw = load_painting(painting, style_size)
    painting_hwc = load_picture(painting).frame_hwc
    network = load_lossnet(vgg).to(on)
    fit_memory(network, (frame.shape[1], frame.shape[0]), painting_hwc, style_size, on)
    judge = make_objective(network, painting_bchw.to(on), objective)
    result = _follow(judge, frame, stylize, (iterations, start, seed))
    where = f"{len(result.best) - 1} iterations on {'the GPU' if on.type == 'cuda' else 'the CPU'}"
    panels = _panels(frame, painting_hwc, result, (f"{stylize.name}, {stylize.provider}", where))
    from styletransfer.core.panels import draw_panels

    save_picture(Picture(draw_panels(panels, frame.shape[0])), target)
    ratio = result.seconds / result.network_seconds
    typer.echo(
        f"{target}: optimisation {result.seconds:.1f} s (objective {result.optimised['total']:,.6g}, "
        f"{describe_device(on)}), "
        f"{stylize.name} {1000 * result.network_seconds:.1f} ms (objective {result.network['total']:,.6g}): "
        f"{ratio:,.0f} times faster"
    )


def _check(start: str, objective: str, size: int, style_size: int) -> None:
    for name, value, allowed in (("--start", start, STARTS), ("--objective", objective, tuple(OBJECTIVES))):
        if value not in allowed:
            raise SettingsError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
    for option, pixels, lowest in (("--size", size, MIN_SIDE), ("--style-size", style_size, MIN_STYLE_SIDE)):
        if not lowest <= pixels <= MAX_SIDE:
            raise SettingsError(f"{option} is {pixels}; allowed: {lowest} to {MAX_SIDE}")


def _follow(judge: Objective, frame: NDArray[np.uint8], stylize: Stylizer, how: tuple[int, str, int]) -> Comparison:
    """Compare with a progress bar; Ctrl-C ends it after the iteration that it is in."""
    from styletransfer.training.comparison import compare_one

    iterations, start, seed = how
    with progress() as bar, interruption() as interrupted:
        task = bar.add_task("optimising", total=iterations, note="")
        began = time.perf_counter()

        def on_iteration(iteration: int, best: float) -> bool:
            each = (time.perf_counter() - began) / (iteration + 1)
            note = f"{each:.2f} s each  objective {best:,.6g}"
            bar.update(task, completed=iteration, note=note)
            if bar.disable and iteration and iteration % _LINE_EVERY == 0:
                stderr().print(f"iteration {iteration}/{iterations}  {note}", markup=False, soft_wrap=True)
            return interrupted.is_set()

        result = compare_one(judge, frame, stylize, iterations, start=start, seed=seed, on_iteration=on_iteration)
    if interrupted.is_set():
        raise StoppedError(f"stopped after {len(result.best) - 1} of {iterations} iterations; nothing was written")
    return result


def _panels(
    frame: NDArray[np.uint8], painting: NDArray[np.uint8], result: Comparison, how: tuple[str, str]
) -> list[Panel]:
    from styletransfer.core.panels import Panel

    def losses(terms: dict[str, float], note: str = "") -> tuple[str, ...]:
        content, style, tv, total = (short(terms[name]) for name in TERMS)
        return f"objective {total}{note}", f"content {content}, style {style}, tv {tv}"

    network, optimisation = how
    equals = describe_equal([equal_iterations(result.best, result.network["total"])], len(result.best) - 1)
    return [
        Panel("photo", frame, (f"{frame.shape[1]} x {frame.shape[0]} pixels", *losses(result.untouched))),
        Panel("painting", painting),
        Panel(
            "optimisation",
            result.optimised_hwc,
            (f"{result.seconds:,.1f} s, {optimisation}", *losses(result.optimised)),
        ),
        Panel(
            "network",
            result.network_hwc,
            (f"{result.network_seconds:.3g} s, {network}", *losses(result.network, f" = {equals} iterations")),
        ),
    ]
