"""``styletransfer train-mdf``: discriminators for the MDF loss, trained on one picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from styletransfer.cli.common import progress
from styletransfer.cli.lossnet import device_for
from styletransfer.cli.trainings import ResumeOption, check_out, set_aside
from styletransfer.core.interrupts import interruption
from styletransfer.core.ranges import help_of
from styletransfer.core.settings_mdf import MDF_TASKS, MdfSettings

if TYPE_CHECKING:
    from styletransfer.training.mdf_training import PyramidTraining, Step

_DEFAULT = MdfSettings()


def _option(name: str) -> Any:
    return typer.Option(f"--{name}", help=help_of(MdfSettings, name))


def train_mdf(
    image: Annotated[Path, typer.Argument(help="The picture to train on: one sharp photo, rich in texture.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, NAME.safetensors.")],
    task: Annotated[str, _option("task")] = _DEFAULT.task,
    iterations: Annotated[int, _option("iterations")] = _DEFAULT.iterations,
    size: Annotated[int, _option("size")] = _DEFAULT.size,
    seed: Annotated[int, _option("seed")] = _DEFAULT.seed,
    resume: ResumeOption = False,
    device: Annotated[str, typer.Option("--device", help="Where to train: auto, cpu or cuda.")] = "auto",
) -> None:
    """Train discriminators for the loss `mdf` on ONE IMAGE: a loss for one kind of distortion.

    Afterwards: `train-restore --loss mdf --mdf NAME.safetensors`.
    """
    from styletransfer.core.errors import InputError, StoppedError
    from styletransfer.core.pictures import load_picture

    check_out(out, ".safetensors", "a file of discriminators")
    settings = MdfSettings(task, iterations, size, seed)
    work = _work_of(out)
    if resume and not work.is_file():
        raise InputError(f"{work}: there is no training to continue; leave --resume out to start one")
    picture = load_picture(image).frame_hwc
    runs_on = device_for(device, "train discriminators")
    from styletransfer.training.losses.mdf import write_discriminators
    from styletransfer.training.mdf_training import PyramidTraining

    try:
        training = PyramidTraining(picture, settings, runs_on)
    except InputError as error:
        raise InputError(f"{image}: {error}") from error
    if resume:
        training.resume(work)
    else:
        if work.exists():
            set_aside(out, _work_of)
        training.save(work)  # a folder that cannot be written to shall not show after hours
    done, scales = _follow(training, work), len(training.sizes)
    if done < scales:
        if not done:
            work.unlink(missing_ok=True)
            raise StoppedError(f"stopped in scale 1 of {scales}; nothing was there to save yet")
        raise StoppedError(
            f"stopped in scale {done + 1} of {scales}, the {done} before are saved in {work}; "
            "the same command with --resume continues"
        )
    source = f"styletransfer train-mdf: task {task}, {iterations} iterations, size {size}, seed {seed}, {image.name}"
    write_discriminators(out, training.discriminators, source)
    work.unlink(missing_ok=True)
    height, width = training.sizes[-1]
    typer.echo(
        f"{out}: {scales} discriminators against {MDF_TASKS[task]}, the largest at {width}x{height}, "
        f"{iterations} iterations a scale; use them with --loss mdf --mdf {out}"
    )


def _work_of(out: Path) -> Path:
    """Where the scales that are done are kept until all are."""
    return out.with_name(f"{out.stem}.training.safetensors")


def _follow(training: PyramidTraining, work: Path) -> int:
    """Train under a progress bar until done or interrupted; how many scales are done."""
    with interruption() as interrupted, progress() as bar:
        total = len(training.sizes) * training.settings.iterations
        shown = bar.add_task(
            "training", total=total, completed=len(training.generators) * training.settings.iterations, note=""
        )

        def on_step(step: Step) -> None:
            width, height = step.size_wh
            note = f"scale {step.scale + 1}/{step.scales} {width}x{height}"
            losses = ", ".join(f"{name} {value:.4f}" for name, value in step.losses.items())
            bar.update(shown, advance=1, note=f"{note} {losses}")

        training.run(on_step, interrupted.is_set, lambda: training.save(work))
    return len(training.generators)
