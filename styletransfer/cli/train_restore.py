"""``styletransfer train-restore``: photos in, a file that enlarges or repairs out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from styletransfer.cli.common import stderr, warn
from styletransfer.cli.following import following
from styletransfer.cli.lossnet import VggOption, load_lossnet
from styletransfer.cli.trainings import (
    CheckpointOption,
    HalfOption,
    PreviewOption,
    ResumeOption,
    TensorboardOption,
    check_out,
    check_pictures,
    need_extra,
    training_folder,
)
from styletransfer.core.ranges import help_of
from styletransfer.core.settings_restore import RESTORE_STEPS, RestoreSettings
from styletransfer.core.work import LOG_NAME, curves_of, work_of

if TYPE_CHECKING:
    from styletransfer.training.losses.expression import WeightedLoss
    from styletransfer.training.restoration.networks import RestoreNet
    from styletransfer.training.restoration.patches import PatchSampler
    from styletransfer.training.restoration.state import RestoreProgress

_DEFAULT = RestoreSettings(scale=2)


def _option(name: str, *others: str) -> Any:
    return typer.Option(f"--{name.replace('_', '-')}", *others, help=help_of(RestoreSettings, name))


def train_restore(
    photos: Annotated[
        list[Path],
        typer.Option("--photos", help="Folder of photos, searched recursively; several times for several folders."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to make, NAME.onnx.")],
    task: Annotated[str, _option("task")] = _DEFAULT.task,
    scale: Annotated[int, typer.Option("--scale", help="How many times sr enlarges: 2, 4 or 8; 0: 2.")] = 0,
    network: Annotated[str, _option("network", "--net")] = _DEFAULT.network,
    channels: Annotated[int, _option("channels")] = _DEFAULT.channels,
    layers: Annotated[int, _option("layers")] = _DEFAULT.layers,
    stem: Annotated[int, _option("stem")] = _DEFAULT.stem,
    loss: Annotated[str, _option("loss")] = _DEFAULT.loss,
    sigma: Annotated[str, _option("sigma")] = _DEFAULT.sigma,
    quality: Annotated[str, _option("quality")] = _DEFAULT.quality,
    grey: Annotated[bool, _option("grey")] = _DEFAULT.grey,
    init: Annotated[
        str,
        typer.Option("--init", help="Start from: a shipped network, an .onnx file or a training's folder, none."),
    ] = "none",
    resume: ResumeOption = False,
    steps: Annotated[
        int, typer.Option("--steps", help=f"Training steps; 0: {RESTORE_STEPS}, or as many as --minutes allow.")
    ] = 0,
    minutes: Annotated[float, _option("minutes")] = _DEFAULT.minutes,
    batch: Annotated[int, _option("batch")] = _DEFAULT.batch,
    image_size: Annotated[int, _option("image_size")] = _DEFAULT.image_size,
    learning_rate: Annotated[float, _option("learning_rate")] = _DEFAULT.learning_rate,
    average: Annotated[float, _option("average")] = _DEFAULT.average,
    seed: Annotated[int, _option("seed")] = _DEFAULT.seed,
    vgg: VggOption = None,
    mdf: Annotated[
        Path | None, typer.Option("--mdf", help="Discriminators for the loss mdf, as `train-mdf` writes them.")
    ] = None,
    val: Annotated[Path | None, typer.Option("--val", help="Folder of pictures to measure PSNR on at the end.")] = None,
    half: HalfOption = False,
    preview_every: PreviewOption = 250,
    checkpoint_every: CheckpointOption = 250,
    tensorboard: TensorboardOption = None,
) -> None:
    """Train a network that enlarges or repairs photos and write it as an ONNX file."""
    from styletransfer.core.errors import SettingsError, StoppedError
    from styletransfer.core.photos import find_photos

    check_out(out, ".onnx", "the file's name")
    if steps and minutes:
        raise SettingsError(f"--steps {steps} and --minutes {minutes:g} are both given; give one of them")
    need_extra("train a network")
    from styletransfer.training.follow import PREVIEW_NAME
    from styletransfer.training.losses.expression import parse_loss

    settings = RestoreSettings(
        task=task,
        scale=scale or (2 if task == "sr" else 1),
        network=network,
        channels=channels,
        layers=layers,
        stem=stem,
        loss=loss,
        sigma=sigma,
        quality=quality,
        grey=grey,
        steps=steps or (0 if minutes else RESTORE_STEPS),
        minutes=minutes,
        batch=batch,
        image_size=image_size,
        learning_rate=learning_rate,
        average=average,
        seed=seed,
    )
    parse_loss(loss)
    work, folders = work_of(out), (*photos, *([val] if val else []))
    check_pictures((curves_of(out), work / PREVIEW_NAME), out, folders)
    for folder in folders:  # they are read again later; here before a download
        find_photos(folder)
    start = None if resume else _start(init, settings)
    every = (preview_every, checkpoint_every)
    objective = _loss(loss, seed, vgg, mdf)
    with training_folder(out, resume):
        trained, where, sampler = _follow(settings, photos, work, objective, start, resume, every, tensorboard)
        if len(sampler.skipped):
            stderr().print(f"photos skipped: {sampler.skipped}", markup=False)
        from styletransfer.training.restoration.loop import is_finished

        if not is_finished(where):
            aim = f"{minutes:g} minutes" if minutes else f"{settings.steps} steps"
            raise StoppedError(
                f"stopped after {where.step} steps, {where.seconds:.0f} s, of {aim}, all saved in "
                f"{work}; the same command with --resume continues"
            )
        _finish(trained, where, out, half, val)


def _finish(network: RestoreNet, progress: RestoreProgress, out: Path, half: bool, val: Path | None) -> None:
    """Write the file and the loss curves, measure, and say where everything is."""
    from styletransfer.training.follow import PREVIEW_NAME
    from styletransfer.training.report import save_loss_curve
    from styletransfer.training.restoration.export import export_restorer, make_card
    from styletransfer.training.restoration.validate import mean_psnr_db

    work, curve = work_of(out), curves_of(out)
    psnr_db = export_restorer(network, make_card(out.stem, progress, network.size_multiple), out, half)
    losses = ", ".join(f"{name} {value:.4g}" for name, value in progress.losses.items())
    typer.echo(f"{out}: {progress.step} steps in {progress.seconds:.0f} s on {progress.device}; losses: {losses}")
    typer.echo(f"start: {progress.init}; checked against the network: {psnr_db:.0f} dB")
    save_loss_curve(work / LOG_NAME, curve, tuple(progress.losses))  # the file is there whatever becomes of it
    typer.echo(f"look at {work / PREVIEW_NAME} and {curve}; try: styletransfer restore PHOTO --model {out}")
    if val is not None:
        ours_db, before_db = mean_psnr_db(network, progress.settings, val, on_unusable=warn)
        typer.echo(f"{val}: PSNR on Y {ours_db:.2f} dB, without the network {before_db:.2f} dB")


def _loss(text: str, seed: int, vgg: Path | None, mdf: Path | None) -> WeightedLoss:
    """The loss; its VGG computes as the network does, in bfloat16 where the hardware is fast at it."""
    import torch

    from styletransfer.training.hardware import loss_dtype
    from styletransfer.training.losses.expression import LossResources, build_loss

    torch.manual_seed(seed)  # of a discriminator
    dtype = loss_dtype(torch.device("cuda" if torch.cuda.is_available() else "cpu"))

    def load() -> Any:
        network = load_lossnet(vgg)
        network.stages.to(dtype)  # not its mean, which bfloat16 would round
        return network

    return build_loss(text, LossResources(load, mdf))


def _start(init: str, settings: RestoreSettings) -> tuple[str, RestoreNet] | None:
    """Name and network that the training starts from."""
    from styletransfer.core.errors import ModelError
    from styletransfer.core.zoo import resolve_restorer
    from styletransfer.training.restoration.export import load_restorer
    from styletransfer.training.restoration.networks import has_batch_norm
    from styletransfer.training.restoration.state import build_from

    if init == "none":
        return None
    path = Path(init) if Path(init).is_dir() else resolve_restorer(init)
    network, wanted = load_restorer(path), build_from(settings)
    if (
        {name: value.shape for name, value in network.state_dict().items()}
        != {name: value.shape for name, value in wanted.state_dict().items()}
        or type(network) is not type(wanted)
        or network.scale != wanted.scale
    ):
        raise ModelError(
            f"{init}: it holds a {type(network).__name__} of {network.channels} channels, {network.layers} layers and "
            f"scale {network.scale}, this training is of a {type(wanted).__name__} of {wanted.channels} channels, "
            f"{wanted.layers} layers and scale {wanted.scale}; give the same --net, --channels, --layers and --scale"
        )
    if has_batch_norm(network) and not path.is_dir():
        raise ModelError(
            f"{init}: the file has no batch norms any more, without which {settings.network} cannot be trained on; "
            f"give the training's folder, {path.with_suffix('.training')}"
        )
    return path.stem, network


def _follow(
    settings: RestoreSettings,
    photos: list[Path],
    work: Path,
    loss: WeightedLoss,
    start: tuple[str, RestoreNet] | None,
    resume: bool,
    every: tuple[int, int],
    tensorboard: Path | None,
) -> tuple[RestoreNet, RestoreProgress, PatchSampler]:
    """Train with a progress bar; Ctrl-C ends the training after the step that it is in."""
    from styletransfer.training.restoration.loop import train_restorer

    with following(settings.steps or None, every, tensorboard, form=".4g") as callbacks:
        return train_restorer(settings, photos, work, loss, init=start, resume=resume, callbacks=callbacks)
