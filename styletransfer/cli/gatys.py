"""``styletransfer gatys``: one picture painted by optimisation, the method that the networks replace."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from styletransfer.cli.common import numbers, progress, stderr, warn
from styletransfer.cli.lossnet import DeviceOption, VggOption, device_for, load_lossnet
from styletransfer.cli.pictures import warn_of_lost_opacity
from styletransfer.cli.targets import Taken
from styletransfer.cli.trainings import set_aside
from styletransfer.core.baseline import OBJECTIVES, OPTIMISERS, STARTS, GatysSettings
from styletransfer.core.errors import (
    InputError,
    OutputError,
    SettingsError,
    StoppedError,
)
from styletransfer.core.files import explain_os_error
from styletransfer.core.interrupts import interruption
from styletransfer.core.memory import is_out_of_memory

if TYPE_CHECKING:
    import torch

    from styletransfer.core.pictures import Picture
    from styletransfer.training.gatys import Follow, Moment, Painted
    from styletransfer.training.gatys_plan import Commission, Frame
    from styletransfer.training.vgg import VGGFeatures

_DEFAULT = GatysSettings()
_LINE_EVERY = 50  # iterations between lines where stderr is no terminal


def gatys(
    content: Annotated[Path, typer.Argument(metavar="CONTENT", help="The photo, a picture file.")],
    style: Annotated[Path, typer.Argument(metavar="STYLE", help="The painting, a picture file.")],
    out: Annotated[Path, typer.Option("--output", "--out", "-o", help="The picture to make; its suffix says how.")],
    size: Annotated[
        int | None, typer.Option("--size", help=f"Longer side of the result, pixels. Default: {_DEFAULT.sizes[0]}.")
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option("--sizes", help="Several scales, each starting from the one before: 256,512,1024."),
    ] = None,
    iterations: Annotated[
        str,
        typer.Option("--iterations", help="At the first scale; each further one takes half as many, or a list."),
    ] = str(_DEFAULT.iterations[0]),
    objective: Annotated[
        str,
        typer.Option("--objective", help=f"{' or '.join(OBJECTIVES)}: what networks train on here, or the paper's."),
    ] = _DEFAULT.objective,
    start: Annotated[
        str, typer.Option("--start", help=f"{' or '.join(STARTS)} (the paper's), to start from.")
    ] = _DEFAULT.start,
    optimiser: Annotated[str, typer.Option("--optimiser", help=f"{' or '.join(OPTIMISERS)}.")] = _DEFAULT.optimiser,
    style_size: Annotated[
        int,
        typer.Option(
            "--style-size",
            help="Longer side of the painting at the first scale, pixels: larger makes larger strokes.",
        ),
    ] = _DEFAULT.style_size,
    content_weight: Annotated[
        float | None, typer.Option("--content-weight", help="Weight of the photo's content. Default: 1.")
    ] = None,
    style_weight: Annotated[
        float | None,
        typer.Option(
            "--style-weight",
            help=f"Weight of the painting's style. Default: {OBJECTIVES['training'].style:g}, with --objective gatys "
            f"{OBJECTIVES['gatys'].style:g}.",
        ),
    ] = None,
    tv_weight: Annotated[
        float | None,
        typer.Option(
            "--tv-weight", help=f"Weight of total variation. Default: {OBJECTIVES['training'].tv:g}, gatys 0."
        ),
    ] = None,
    keep_colors: Annotated[
        bool, typer.Option("--keep-colors", help="Keep the photo's colours, take the luminance only.")
    ] = False,
    match_colors: Annotated[
        bool, typer.Option("--match-colors", help="Give the painting the photo's colours first (mean and spread).")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the noise.")] = _DEFAULT.seed,
    preview_every: Annotated[
        int, typer.Option("--preview-every", min=0, help="Iterations between previews, NAME-preview.png; 0: never.")
    ] = 50,
    save_every: Annotated[
        int, typer.Option("--save-every", min=0, help="Iterations between states to resume from; 0: at Ctrl-C only.")
    ] = 50,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run: the same command plus this.")
    ] = False,
    quality: Annotated[int | None, typer.Option("--quality", help="1..100 for JPEG, WebP and AVIF.")] = None,
    device: DeviceOption = "auto",
    vgg: VggOption = None,
) -> None:
    """Paint the photo CONTENT after the painting STYLE by optimisation (Gatys, Ecker, Bethge 2016).

    It takes minutes where a trained style takes milliseconds. Ctrl-C saves the state; --resume goes on.
    """
    settings = GatysSettings(
        sizes=_sizes(size, sizes),
        iterations=numbers("--iterations", iterations),
        objective=objective,
        start=start,
        optimiser=optimiser,
        style_size=style_size,
        content_weight=content_weight,
        style_weight=style_weight,
        tv_weight=tv_weight,
        match_colors=match_colors,
        seed=seed,
    )
    preview = out.with_name(f"{out.stem}-preview.png")
    photo, painting = _pictures(content, style, out, preview, quality)
    on = device_for(device, "paint by optimisation")
    from styletransfer.training.gatys import Follow
    from styletransfer.training.gatys_plan import Commission, plan_memory
    from styletransfer.training.gatys_state import STATE_NAME, check_state
    from styletransfer.training.hardware import describe_device

    commission = Commission(photo.frame_hwc, painting.frame_hwc, settings)
    needed, saves_memory = plan_memory(commission, on)
    work = _work_of(out)
    if resume:
        check_state(work)
    elif (work / STATE_NAME).exists():
        set_aside(out, _work_of)
    with _folder(work):
        _say_plan(settings, on, needed, saves_memory)
        network = load_lossnet(vgg).to(on)
        network.saves_memory = saves_memory

        def show(frame: Frame) -> None:
            _save(frame, photo, keep_colors, preview, None)

        follow = Follow(on_preview=show, preview_every=preview_every, save_every=save_every)
        painted = _follow(commission, network, work, resume, follow)
        moment = painted.moment
        if not painted.is_finished:
            show(painted.frame_hwc)
            raise StoppedError(
                f"stopped after {moment.iteration} of {moment.iterations} iterations at {settings.sizes[moment.scale]} "
                f"pixels, saved in {work} (look at {preview}); the same command with --resume continues"
            )
        _save(painted.frame_hwc, photo, keep_colors, out, quality)
        (work / STATE_NAME).unlink(missing_ok=True)
    typer.echo(
        f"{out}: {moment.size_wh[0]}×{moment.size_wh[1]}, {painted.seconds:.0f} s on {describe_device(on)}; "
        f"{settings.objective} objective {moment.best:,.6g}"
    )


def _work_of(out: Path) -> Path:
    """Where the state of an unfinished picture is kept; the suffix tells ``a.png`` from ``a.jpg``."""
    return out.with_name(f"{out.name}.gatys")


def _sizes(size: int | None, sizes: str | None) -> tuple[int, ...]:
    if size is not None and sizes is not None:
        raise SettingsError("--size and --sizes are both given; use one of them (--sizes ends with the result's)")
    if sizes is not None:
        return numbers("--sizes", sizes)
    return _DEFAULT.sizes if size is None else (size,)


def _pictures(content: Path, style: Path, out: Path, preview: Path, quality: int | None) -> tuple[Picture, Picture]:
    """The photo and the painting, after a look at whether the result can be written."""
    from styletransfer.core.pictures import format_of, load_picture

    if quality is not None and not 1 <= quality <= 100:
        raise SettingsError(f"--quality is {quality}; it goes from 1 to 100")
    if out.is_dir():
        raise OutputError(f"{out}: is a folder; name a picture file with -o, as {out / 'result.png'}")
    format = format_of(out)
    taken = Taken([content, style])
    for result in (out, preview):
        taken.check(result)
    photo, painting = load_picture(content), load_picture(style)
    for path, picture in ((content, photo), (style, painting)):
        if picture.has_more_frames:
            warn(f"{path}: has several frames or pages, the first one is taken")
    warn_of_lost_opacity(photo, format, str(content))
    return photo, painting


@contextmanager
def _folder(work: Path) -> Iterator[None]:
    """Make the folder for the state at once, so that a place that cannot be written is found; remove it when empty."""
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_os_error(error, work) from error
    try:
        yield
    finally:
        with suppress(OSError):  # not empty: there is a state
            work.rmdir()


def _say_plan(settings: GatysSettings, on: torch.device, needed: int, saves_memory: bool) -> None:
    from styletransfer.training.hardware import describe_device

    sizes = ", ".join(
        f"{size} pixels × {count}" for size, count in zip(settings.sizes, settings.iterations_by_scale, strict=True)
    )
    how = ", feature maps computed twice to fit" if saves_memory else ""
    stderr().print(
        f"{sizes} iterations on {describe_device(on)}; about {needed / 1e9:.1f} GB of memory{how}",
        markup=False,
        soft_wrap=True,
    )


def _save(frame: Frame, photo: Picture, keep_colors: bool, path: Path, quality: int | None) -> None:
    """Write a result as the photo came: transparency, profile, EXIF, and its colours where they are kept."""
    from styletransfer.core.blending import blend
    from styletransfer.core.pictures import resize_frame, save_picture

    size_wh = (frame.shape[1], frame.shape[0])
    if keep_colors:
        frame = blend(resize_frame(photo.frame_hwc, size_wh), frame, keep_colors=True)
    alpha = None if photo.alpha_hw is None else resize_frame(photo.alpha_hw, size_wh)
    # The photo's own JPEG tables would give an hour's work a snapshot's quality.
    result = replace(photo, frame_hwc=frame, alpha_hw=alpha, jpeg_qtables=None, jpeg_subsampling=None)
    save_picture(result, path, quality=quality)


def _follow(commission: Commission, network: VGGFeatures, work: Path, resume: bool, follow: Follow) -> Painted:
    """Paint with a progress bar; Ctrl-C ends it after the iteration that it is in."""
    from styletransfer.training.gatys import paint
    from styletransfer.training.gatys_state import STATE_NAME

    console, settings = stderr(), commission.settings
    counts = settings.iterations_by_scale
    times: deque[float] = deque(maxlen=20)
    with progress() as bar, interruption() as interrupted:
        task = bar.add_task("painting", total=sum(counts), note="")

        def on_iteration(moment: Moment) -> None:
            times.append(time.perf_counter())
            each = (times[-1] - times[0]) / max(1, len(times) - 1)
            note = f"{settings.sizes[moment.scale]} pixels  {each:.2f} s each  loss {moment.best:,.6g}"
            bar.update(task, completed=sum(counts[: moment.scale]) + moment.iteration, note=note)
            if bar.disable and (moment.iteration % _LINE_EVERY == 0 or moment.iteration == moment.iterations):
                text = f"iteration {moment.iteration}/{moment.iterations}  {note}"
                console.print(text, markup=False, soft_wrap=True)

        watched = replace(follow, on_iteration=on_iteration, stop=interrupted.is_set)
        try:
            return paint(commission, network, work=work, resume=resume, follow=watched)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise InputError(
                f"not enough memory for {settings.sizes[-1]} pixels after all; use a smaller --size"
                + (f", or --resume from {work} on a larger machine" if (work / STATE_NAME).exists() else "")
            ) from error
