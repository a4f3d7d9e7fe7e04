"""``styletransfer evaluate``: a style's objective beside the optimisation's, and what is wrong with its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from styletransfer.cli.common import ProviderOption, fail, numbers, progress, stderr, warn
from styletransfer.cli.extra_files import check_extra, check_plot
from styletransfer.cli.lossnet import DeviceOption, VggOption, device_for, fit_memory, load_lossnet
from styletransfer.cli.protocol import FORMAT, as_json, fingerprint, read_entries
from styletransfer.core.errors import InputError, OutputError, SettingsError, StoppedError, StyleTransferError
from styletransfer.core.interrupts import interruption
from styletransfer.core.yardstick import OBJECTIVES, Entry, EvaluateSettings, checkpoints_to

if TYPE_CHECKING:
    from styletransfer.training.evaluate import Contender, Ground

_DEFAULT = EvaluateSettings()


def evaluate(
    models: Annotated[list[str], typer.Argument(help="Shipped styles' names or .onnx files, all of ONE painting.")],
    painting: Annotated[Path, typer.Option("--painting", help="The painting, a picture file.")],
    photos: Annotated[Path, typer.Option("--photos", help="Folder of photos that the styles were not trained on.")],
    count: Annotated[
        str, typer.Option("--count", help="Photos, spread evenly over the folder; a list: one number a size.")
    ] = str(_DEFAULT.counts[0]),
    sizes: Annotated[
        str, typer.Option("--sizes", help="Sides of the squares cut out of the photos, pixels: 256,512,1024.")
    ] = str(_DEFAULT.sizes[0]),
    iterations: Annotated[
        str,
        typer.Option(
            "--iterations",
            help="Of the optimisation: a number, or a list of those at which its value is stated; 0: none.",
        ),
    ] = str(_DEFAULT.iterations),
    start: Annotated[str, typer.Option("--start", help="What it starts from: noise, photo, or both.")] = ",".join(
        _DEFAULT.starts
    ),
    stop_when_passed: Annotated[
        bool,
        typer.Option(
            "--stop-when-passed", help="End an optimisation at the first stated value that is below every model's."
        ),
    ] = False,
    objective: Annotated[
        str, typer.Option("--objective", help=f"{'; '.join(f'{name}: {what}' for name, what in OBJECTIVES.items())}.")
    ] = _DEFAULT.objective,
    style_size: Annotated[
        int, typer.Option("--style-size", help="Longer side of the painting, pixels, as in the training.")
    ] = _DEFAULT.style_size,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the noise.")] = _DEFAULT.seed,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write all that is measured to this file, as it comes; - prints it alone."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the --json file: what it holds is not measured again.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw objective against iterations: .png, .svg or .pdf.")
    ] = None,
    provider: ProviderOption = "auto",
    device: DeviceOption = "auto",
    vgg: VggOption = None,
) -> None:
    """Measure MODELs by the objective of the optimisation that they replace (Johnson et al. 2016, fig. 5).

    For each size: content, style and total variation of each model and of the untouched photo, beside the
    optimisation's after so many iterations; how many iterations each model equals, and how many times faster it is.
    Then what is wrong with the pictures: grids, frames, colours that are not the painting's, content that is lost.
    The optimisation takes nearly all of the time: --iterations 0 leaves it out.
    """
    settings = EvaluateSettings(
        sizes=numbers("--sizes", sizes),
        counts=numbers("--count", count),
        checkpoints=_checkpoints(iterations),
        starts=tuple(part.strip() for part in start.split(",") if part.strip()),
        objective=objective,
        style_size=style_size,
        stop_when_passed=stop_when_passed,
        seed=seed,
    )
    is_alone = str(json_file) == "-"
    json_file = None if is_alone else json_file
    files = [painting, photos, *map(Path, models)]
    check_plot(plot, files)
    _check_json(json_file, files, resume)
    ground, contenders, header = _prepare(settings, models, painting, photos, (provider, device, vgg))
    entries = read_entries(json_file, header) if resume and json_file is not None else []
    header["settings"] = asdict(settings)
    entries, failed, is_stopped = _follow(settings, ground, contenders, entries, (json_file, header))

    from styletransfer.cli.standings import print_standings
    from styletransfer.core.yardstick import summarise

    entries = [entry for entry in entries if entry["photo"] in ground.photos.get(entry["size"], {})]
    names = [name for name in contenders if name not in failed]
    summary = summarise(entries, names, settings)
    if not names:
        raise InputError("none of the models could be measured")
    if is_alone:
        typer.echo(as_json(header, entries, names, settings), nl=False)
    else:
        print_standings(summary, settings)
    if plot is not None and summary:
        from styletransfer.training.curves import save_curves

        save_curves(entries, summary, f"{painting.stem}: {settings.objective} objective", plot)
        if not is_alone:
            typer.echo(str(plot))
    if is_stopped:
        how = "the same command with --resume goes on" if json_file else "with --json FILE a later run could go on"
        raise StoppedError(f"stopped before the end; the figures are of what was finished, {how}")
    if failed:
        raise typer.Exit(1)


def _checkpoints(text: str) -> tuple[int, ...]:
    asked = numbers("--iterations", text)
    return checkpoints_to(asked[0]) if len(asked) == 1 and asked[0] >= 0 else asked


def _check_json(json_file: Path | None, files: Sequence[Path], resume: bool) -> None:
    """Say what cannot be written before an hour's work."""
    check_extra(json_file, "--json", files)
    if resume and json_file is None:
        raise SettingsError("--resume goes on with a file; name it with --json")
    if json_file is not None and json_file.exists() and not resume:
        raise OutputError(f"{json_file}: exists; go on with it with --resume, or name another file")


def _prepare(
    settings: EvaluateSettings,
    models: Sequence[str],
    painting: Path,
    folder: Path,
    where: tuple[str, str, Path | None],
) -> tuple[Ground, dict[str, Contender], dict[str, Any]]:
    """Everything that can be wrong with the inputs is found here, before the work."""
    from styletransfer.cli.machine import describe
    from styletransfer.core import zoo
    from styletransfer.core.download import file_sha256
    from styletransfer.core.squares import load_squares

    provider, device, weights = where
    paths = {model: zoo.resolve(model) for model in dict.fromkeys(models)}
    if not painting.is_file():
        raise InputError(f"{painting}: no such painting")
    on = device_for(device, "evaluate a style")
    from styletransfer.core.photos import find_photos
    from styletransfer.training.data import load_painting
    from styletransfer.training.evaluate import Contender, Ground, make_objective
    from styletransfer.training.hardware import describe_device

    painting_bchw = load_painting(painting, settings.style_size)
    found = find_photos(folder)
    contenders: dict[str, Contender] = {}
    for model, path in paths.items():
        name = path.stem if path.stem not in contenders else model
        contenders[name] = Contender(file_sha256(path)[:16], _load(path, provider))
    skipped: set[str] = set()
    squares = {}
    for size in settings.sizes:
        squares[size] = load_squares(found, folder, settings.count(size), size, skipped.add)
        if len(squares[size]) < settings.count(size):
            warn(f"{folder}: {len(squares[size])} photos of {settings.count(size)} at {size} pixels; it has no more")
    for reason in sorted(skipped):
        warn(f"{reason} (left out)")
    network = load_lossnet(weights).to(on)
    painting_hwc = painting_bchw[0].permute(1, 2, 0).byte().numpy()
    if settings.iterations:
        fit_memory(network, (max(settings.sizes),) * 2, painting_hwc, settings.style_size, on)
    objective = make_objective(network, painting_bchw.to(on), settings.objective)
    header = {
        "format": FORMAT,
        "painting": painting.name,
        "baseline": {
            **settings.baseline(),
            "painting": file_sha256(painting)[:16],
            "vgg": fingerprint(network.convolutions()[0].weight),
        },
        "machine": {**describe(), "objective_on": describe_device(on)},
    }
    return Ground(objective, painting_hwc, squares), contenders, header


def _load(path: Path, provider: str) -> Any:
    from styletransfer.runtime.stylizer import Stylizer

    return Stylizer(path, provider=provider)


def _follow(
    settings: EvaluateSettings,
    ground: Ground,
    contenders: dict[str, Contender],
    entries: list[Entry],
    output: tuple[Path | None, dict[str, Any]],
) -> tuple[list[Entry], set[str], bool]:
    """Evaluate with a progress bar, saving as results come: entries, models that failed, and whether Ctrl-C came."""
    from styletransfer.core.files import write_bytes
    from styletransfer.training.evaluate import Follow, evaluate

    json_file, header = output
    failed: set[str] = set()
    _say_time(settings, ground, entries)

    def save(results: list[Entry]) -> None:
        if json_file is not None:
            names = [name for name in contenders if name not in failed]
            write_bytes(json_file, as_json(header, results, names, settings).encode())

    def on_failed(name: str, error: StyleTransferError) -> None:
        failed.add(name)
        fail(f"{name}: {error}")

    with progress() as bar, interruption() as interrupted:
        task = bar.add_task("evaluating", total=settings.iterations or None, note="")
        order = {size: {name: n for n, name in enumerate(of_size, 1)} for size, of_size in ground.photos.items()}

        def on_iteration(size: int, photo: str, start: str, iteration: int) -> None:
            note = f"{size} pixels, photo {order[size][photo]} of {len(order[size])}, from {start}"
            bar.update(task, completed=iteration, note=note)
            if bar.disable and iteration == 0:
                stderr().print(note, markup=False, soft_wrap=True)

        follow = Follow(save, on_iteration, on_failed, interrupted.is_set)
        results = evaluate(settings, ground, contenders, entries, follow)
    save(results)
    return results, failed, interrupted.is_set()


def _say_time(settings: EvaluateSettings, ground: Ground, entries: Sequence[Entry]) -> None:
    """How long the optimisations will take at most, measured on one."""
    from styletransfer.training.evaluate import seconds_an_iteration

    known = {(entry["size"], entry["photo"]): len(entry["optimisation"]) for entry in entries}
    runs = {
        size: sum(max(0, len(settings.starts) - known.get((size, name), 0)) for name in of_size)
        for size, of_size in ground.photos.items()
    }
    if not settings.iterations or not sum(runs.values()):
        return
    side = min(settings.sizes)
    each = seconds_an_iteration(ground.objective, side)
    seconds = sum(count * settings.iterations * each * (size / side) ** 2 for size, count in runs.items())
    at_most = "at most " if settings.stop_when_passed else ""
    stderr().print(
        f"{sum(runs.values())} optimisations of {settings.iterations} iterations, {at_most}about {_time(seconds)} "
        f"({each:.2g} s an iteration at {side} pixels)",
        markup=False,
        soft_wrap=True,
    )


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
