"""``styletransfer train``: one painting in, one style file out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from styletransfer.cli.common import stderr
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
from styletransfer.core.settings import STEPS_FROM_A_STYLE, STEPS_FROM_SCRATCH, TrainSettings
from styletransfer.core.work import LOG_NAME, curves_of, sheet_of, work_of

if TYPE_CHECKING:
    from styletransfer.core.card import Painting
    from styletransfer.core.frames import FramePair
    from styletransfer.training.checkpoint import Progress
    from styletransfer.training.data import PhotoSampler
    from styletransfer.training.network import StyleNet
    from styletransfer.training.vgg import VGGFeatures

_DEFAULT = TrainSettings()
_PAIRS, _MOST_CLIPS = 200, 100  # pairs of frames to learn motion from, 1 MB each at 256 pixels


def _option(name: str) -> Any:
    return typer.Option(f"--{name.replace('_', '-')}", help=help_of(TrainSettings, name))


def train(
    painting: Annotated[Path, typer.Argument(help="The painting, a picture file.")],
    photos: Annotated[
        Path, typer.Option("--photos", help="Folder of photos, searched recursively; `photos` downloads one.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The style file to make, NAME.onnx.")],
    init: Annotated[
        str,
        typer.Option(
            "--init",
            help="Start from: auto (the closest shipped style), a style's name or .onnx file, a checkpoint, none.",
        ),
    ] = "auto",
    resume: ResumeOption = False,
    steps: Annotated[
        int,
        typer.Option(
            "--steps",
            help=f"Training steps; 0: {STEPS_FROM_SCRATCH} from scratch, {STEPS_FROM_A_STYLE} from a style.",
        ),
    ] = 0,
    style_weight: Annotated[float, _option("style_weight")] = _DEFAULT.style_weight,
    content_weight: Annotated[float, _option("content_weight")] = _DEFAULT.content_weight,
    tv_weight: Annotated[float, _option("tv_weight")] = _DEFAULT.tv_weight,
    smooth_weight: Annotated[float, _option("smooth_weight")] = _DEFAULT.smooth_weight,
    stability: Annotated[float, typer.Option("--stability", help=help_of(TrainSettings, "stability_weight"))] = (
        _DEFAULT.stability_weight
    ),
    clips: Annotated[
        list[Path] | None,
        typer.Option(
            "--clips",
            help="Clips, or folders of them, whose own motion --stability learns from, too; repeatable.",
            show_default=False,
        ),
    ] = None,
    style_size: Annotated[int, _option("style_size")] = _DEFAULT.style_size,
    image_size: Annotated[int, _option("image_size")] = _DEFAULT.image_size,
    batch: Annotated[int, _option("batch")] = _DEFAULT.batch,
    network: Annotated[str, typer.Option("--network", help=help_of(TrainSettings, "architecture"))] = (
        _DEFAULT.architecture
    ),
    channels: Annotated[int, _option("channels")] = _DEFAULT.channels,
    learning_rate: Annotated[float, _option("learning_rate")] = _DEFAULT.learning_rate,
    seed: Annotated[int, _option("seed")] = _DEFAULT.seed,
    vgg: VggOption = None,
    title: Annotated[str, typer.Option("--title", help="Title of the painting, for the card.")] = "",
    artist: Annotated[str, typer.Option("--artist", help="Artist, for the card.")] = "",
    year: Annotated[str, typer.Option("--year", help="Year of the painting, for the card.")] = "",
    licence: Annotated[str, typer.Option("--licence", help="Licence of the picture, for the card.")] = "",
    half: HalfOption = False,
    preview_every: PreviewOption = 100,
    checkpoint_every: CheckpointOption = 100,
    tensorboard: TensorboardOption = None,
) -> None:
    """Train a style on ONE PAINTING and write it as an ONNX file."""
    from styletransfer.core.card import Painting
    from styletransfer.core.errors import InputError, SettingsError, StoppedError

    check_out(out, ".onnx", "a style file's name")
    if not painting.is_file():
        raise InputError(f"{painting}: no such painting")
    if clips and not stability:
        raise SettingsError("--clips is for a training against flicker; add --stability 100")
    need_extra("train a style")
    from styletransfer.core.photos import find_photos
    from styletransfer.training.data import load_painting
    from styletransfer.training.follow import PREVIEW_NAME

    work = work_of(out)
    check_pictures((*_pictures(out), work / PREVIEW_NAME), out, (painting, photos))
    asked: dict[str, Any] = {
        "architecture": network,
        "channels": channels,
        "batch": batch,
        "image_size": image_size,
        "style_size": style_size,
        "content_weight": content_weight,
        "style_weight": style_weight,
        "tv_weight": tv_weight,
        "smooth_weight": smooth_weight,
        "stability_weight": stability,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    settings = TrainSettings(**asked)
    # Both are read again for the training; here before the styles and, perhaps, a download of 528 MB.
    load_painting(painting, settings.style_size)
    find_photos(photos)
    starts = {} if resume else _starts(init, settings)
    if not steps:
        steps = _saved_steps(work) if resume else STEPS_FROM_A_STYLE if starts else STEPS_FROM_SCRATCH
    pairs = _pairs(clips, settings) if clips else []
    settings = TrainSettings(**asked, steps=steps, clip_pairs=len(pairs))
    about = Painting(title or painting.stem.replace("_", " ").title(), artist, year, licence)
    every = (preview_every, checkpoint_every)
    lossnet = load_lossnet(vgg)
    with training_folder(out, resume):
        trained, where, sampler = _follow(
            settings, (painting, photos, work), lossnet, about, starts, pairs, resume, every, tensorboard
        )
        if len(sampler.skipped):
            stderr().print(f"photos skipped: {sampler.skipped}", markup=False)
        if where.step < settings.steps:
            raise StoppedError(
                f"stopped after {where.step} of {settings.steps} steps, all saved in {work}; "
                "the same command with --resume continues"
            )
        _finish(trained, where, sampler, painting, out, half)


def _pictures(out: Path) -> tuple[Path, Path]:
    """Where the contact sheet and the loss curves go."""
    return sheet_of(out), curves_of(out)


def _finish(
    network: StyleNet,
    progress: Progress,
    sampler: PhotoSampler,
    painting: Path,
    out: Path,
    half: bool,
) -> None:
    """Write the style file, the contact sheet and the loss curves, and say where they are."""
    from styletransfer.training.export import export_style, make_card
    from styletransfer.training.report import save_contact_sheet, save_loss_curve

    sheet, curve = _pictures(out)
    psnr_db = export_style(network, make_card(out.stem, progress), out, half)
    reported = ("content", "style", "stability", "total")
    losses = ", ".join(f"{name} {progress.losses[name]:,.0f}" for name in reported if name in progress.losses)
    typer.echo(f"{out}: {progress.step} steps in {progress.seconds:.0f} s on {progress.device}; losses: {losses}")
    typer.echo(f"start: {progress.init}; checked against the network: {psnr_db:.0f} dB")
    # The style is there whatever becomes of its pictures.
    save_contact_sheet(network, sampler, painting, sheet)
    save_loss_curve(work_of(out) / LOG_NAME, curve)
    typer.echo(f"look at {sheet} and {curve}; try: styletransfer stylize PHOTO --model {out}")


def _starts(init: str, settings: TrainSettings) -> dict[str, StyleNet]:
    """The networks that the training may start from, by name."""
    from styletransfer.core.errors import ModelError
    from styletransfer.core.zoo import resolve, shipped
    from styletransfer.training.checkpoint import find_checkpoint, load_checkpoint
    from styletransfer.training.export import load_style
    from styletransfer.training.style_file import read_card

    wanted = (settings.architecture, settings.width)
    # A live network can lose its norms and go on as a plain one.
    fitting = {wanted, ("live", settings.width)} if settings.architecture == "plain" else {wanted}
    if init == "none":
        return {}
    if init == "auto":
        cards = {path: read_card(path) for path in shipped().values()}
        return {
            path.stem: load_style(path)[0]
            for path, card in cards.items()
            if (card.architecture, card.channels) in fitting and card.precision != "int8"
        }
    if Path(init).is_dir() and init not in shipped():
        network, progress = load_checkpoint(find_checkpoint(Path(init)))
        found = (progress.settings.architecture, progress.settings.width)
    else:
        network, card = load_style(resolve(init))
        found = (card.architecture, card.channels)
    if found not in fitting:
        raise ModelError(
            f"{init}: it is a {found[0]} network of {found[1]} channels, this training is of {wanted[0]} with "
            f"{wanted[1]}; use --network {found[0]} --channels {found[1]}, or --init none"
        )
    return {Path(init).stem: network}


def _pairs(clips: list[Path], settings: TrainSettings) -> list[FramePair]:
    """Pairs of frames from all over the clips; those that cannot be read are named and left out."""
    from styletransfer.cli.common import progress, warn
    from styletransfer.cli.targets import find
    from styletransfer.core.errors import InputError
    from styletransfer.media.pairs import find_pairs
    from styletransfer.media.video import VIDEO_SUFFIXES

    found = [
        item.source
        for path in clips
        for item in find(str(path), None, "", VIDEO_SUFFIXES, "video", lambda error: warn(str(error)))
    ]
    chosen = found[:: -(-len(found) // _MOST_CLIPS)]
    pairs: list[FramePair] = []
    with progress() as bar:
        task = bar.add_task("clips", total=len(chosen), note="")
        for number, clip in enumerate(chosen):
            assert clip is not None  # only pictures come from stdin
            try:
                pairs += find_pairs(clip, -(-_PAIRS // len(chosen)), settings.image_size, settings.seed + number)
            except InputError as error:
                warn(str(error))
            bar.advance(task)
    if not pairs:
        raise InputError(f"{', '.join(map(str, clips))}: no two frames of one scene in there to learn motion from")
    return pairs


def _saved_steps(work: Path) -> int:
    from styletransfer.training.checkpoint import find_checkpoint, load_checkpoint

    return load_checkpoint(find_checkpoint(work))[1].settings.steps


def _follow(
    settings: TrainSettings,
    files: tuple[Path, Path, Path],
    vgg: VGGFeatures,
    painting: Painting,
    starts: dict[str, StyleNet],
    pairs: list[FramePair],
    resume: bool,
    every: tuple[int, int],
    tensorboard: Path | None,
) -> tuple[StyleNet, Progress, PhotoSampler]:
    """Train with a progress bar; Ctrl-C ends the training after the step that it is in."""
    from styletransfer.training.loop import Paths, train

    shown = ("content", "style", "tv", "stability")
    with following(settings.steps, every, tensorboard, shown) as callbacks:
        return train(
            settings, Paths(*files), vgg, painting, init=starts, pairs=pairs, resume=resume, callbacks=callbacks
        )
