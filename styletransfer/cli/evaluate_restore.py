"""``styletransfer evaluate-restore``: how true and how good what restoration networks make of damaged photos is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from styletransfer.cli.common import ProviderOption, fail, progress, warn
from styletransfer.cli.extra_files import check_extra, check_plot
from styletransfer.cli.restore_inputs import (
    as_restoring,
    build_measures,
    common,
    find_sets,
    load_restorers,
    names_within,
    webcam_spoil,
)
from styletransfer.cli.restore_tables import print_tables
from styletransfer.core.errors import (
    InputError,
    OutputError,
    SettingsError,
    StoppedError,
    StyleTransferError,
)
from styletransfer.core.interrupts import interruption
from styletransfer.core.restoration import DEGRADATIONS, FIDELITY, METRICS, RestoreEvalSettings, Row

if TYPE_CHECKING:
    from styletransfer.core.damage import Measure, Restoring, Sample, Spoil

_DEFAULT = RestoreEvalSettings()
_ALL = (*FIDELITY, "stlpips", "jod")


def evaluate_restore(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Shipped restorers' names or .onnx files, all of ONE task.", show_default=False),
    ] = None,
    photos: Annotated[
        list[Path] | None,
        typer.Option("--photos", help="Folder of undamaged photos, a test set; several times for several sets."),
    ] = None,
    task: Annotated[
        str, typer.Option("--task", help=f"What to undo: {', '.join(DEGRADATIONS)}; by default what the models do.")
    ] = "",
    scale: Annotated[int, typer.Option("--scale", help="Of sr; by default the models'.", show_default=False)] = 0,
    sigma: Annotated[
        float, typer.Option("--sigma", help="Noise of denoise, standard deviation in grey levels.")
    ] = _DEFAULT.sigma,
    quality: Annotated[int, typer.Option("--quality", help="JPEG quality of deblock.")] = _DEFAULT.quality,
    grey: Annotated[
        bool, typer.Option("--grey", help="Damage one grey channel, as tables of denoising and deblocking do.")
    ] = False,
    only: Annotated[
        Path | None, typer.Option("--only", help="Text file: the photos' names to take, one a line (as of BSD68).")
    ] = None,
    count: Annotated[int, typer.Option("--count", min=0, help="Photos of each set, spread evenly; 0: all.")] = 0,
    metrics: Annotated[
        str,
        typer.Option("--metrics", help=f"{', '.join(METRICS)}; by default all but lpips that are installed."),
    ] = "",
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write every photo's figures to this file.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write settings, means and figures to this file; - prints it alone.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw quality against distortion: .png, .svg or .pdf.")
    ] = None,
    axes: Annotated[
        str, typer.Option("--axes", help="The plot's two metrics; by default psnr_y and jod, or what there is.")
    ] = "",
    from_csv: Annotated[
        list[Path] | None,
        typer.Option("--from", help="Add the figures of this --csv file; without MODELs nothing is measured."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the noise and of what the webcam does.")] = _DEFAULT.seed,
    provider: ProviderOption = "auto",
    device: Annotated[str, typer.Option("--device", help="Of ST-LPIPS, LPIPS and JOD: auto, cpu or cuda.")] = "auto",
) -> None:
    """Damage photos, let MODELs restore them, and measure how near they come to the originals.

    PSNR and SSIM as the literature has them (Y of BT.601, a border of the scale's width left out), ST-LPIPS and LPIPS
    (lower is better), and the quality that ColorVideoVDP predicts (10 JOD: no difference to be seen). Beside the
    models stands bicubic enlargement, or the damaged photo. A * marks a measure that the model was trained by.
    """
    from styletransfer.cli.machine import describe
    from styletransfer.core.files import write_bytes
    from styletransfer.core.restoration import summarise
    from styletransfer.core.restoration_csv import columns, merge_rows, read_rows, write_rows
    from styletransfer.training.tradeoff import check_axes, save_tradeoff

    is_alone = str(json_file) == "-"
    json_file = None if is_alone else json_file
    _check_request(models or (), photos or (), from_csv or ())
    inputs = [*map(Path, models or ()), *(photos or ()), *(from_csv or ())]
    _check_tables(csv_file, json_file, inputs)
    check_plot(plot, inputs)
    files: list[tuple[str, Sequence[Row]]] = [(path.stem, read_rows(path)) for path in from_csv or ()]
    shown = [part.strip() for part in axes.split(",")] if axes else []
    header: dict[str, Any] = {"format": 1, "from": [path.name for path in from_csv or ()]}
    work = None
    if models:
        loaded = load_restorers(models, provider)
        settings = RestoreEvalSettings(
            task=common("task", task, loaded),
            scale=int(common("scale", str(scale or ""), loaded)),
            sigma=sigma,
            quality=quality,
            is_grey=grey,
            metrics=tuple(part.strip() for part in metrics.split(",")) if metrics else _ALL,
            seed=seed,
        )
        if plot is not None:
            check_axes(set(settings.metrics).intersection(*(columns(rows) for _, rows in files)), shown)
        settings, measures = build_measures(settings, device, is_chosen=bool(metrics))
        running = {name: as_restoring(restorer) for name, restorer in loaded.items()}
        work = _Work(settings, measures, running, webcam_spoil() if settings.task == "clean" else None)
        work.run(find_sets(photos or (), only, count))
        files.append(("this run", work.rows))
        header |= {"settings": asdict(settings), "skipped": work.skipped, "machine": describe()}
    rows = merge_rows(files)
    if not rows:
        raise InputError("nothing could be measured")
    summary = summarise(rows)
    if csv_file is not None:
        write_rows(rows, csv_file)
    report = json.dumps({**header, "summary": summary, "results": rows}) + "\n"
    if json_file is not None:
        write_bytes(json_file, report.encode())
    if is_alone:
        typer.echo(report, nl=False)
    else:
        print_tables(summary, header.get("skipped", {}))
    if plot is not None:
        save_tradeoff(summary, plot, shown)
        if not is_alone:
            typer.echo(str(plot))
    if work is not None and work.is_stopped:
        raise StoppedError("stopped before the end; the figures are of what was finished")
    if work is not None and work.has_failed:
        raise typer.Exit(1)


@dataclass
class _Work:
    """The evaluation: what it needs, and what has come of it; ``running`` loses the models that fail."""

    settings: RestoreEvalSettings
    measures: dict[str, Measure]
    running: dict[str, Restoring]
    spoil: Spoil | None
    rows: list[Row] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    is_stopped: bool = False
    has_failed: bool = False

    def run(self, sets: dict[str, list[Path]]) -> None:
        total = sum(len(files) for files in sets.values())
        if not total:
            raise InputError("no photo to measure on; give folders of pictures with --photos")
        with progress() as bar, interruption() as interrupted:
            task = bar.add_task("evaluating", total=total, note="")
            for name, files in sets.items():
                for path, photo in zip(files, names_within(files), strict=True):
                    if interrupted.is_set():
                        self.is_stopped = True
                        return
                    bar.update(task, note=f"{name} {photo}")
                    self._photo(name, path, photo)
                    bar.advance(task)
                if files and self.skipped.get(name, 0) == len(files):
                    self.has_failed = True
                    fail(f"{name}: none of its {len(files)} pictures can be used")

    def _photo(self, of_set: str, path: Path, photo: str) -> None:
        from styletransfer.core.damage import load_photo, make_sample

        try:
            photo_hwc, is_grey = load_photo(path)
            sample = make_sample(photo_hwc, path.name, self.settings, is_grey=is_grey, spoil=self.spoil)
        except StyleTransferError as error:
            text = str(error)
            warn(f"{'' if str(path) in text else f'{path}: '}{text} (left out)")
            self.skipped[of_set] = self.skipped.get(of_set, 0) + 1
            return
        for name in (self.settings.baseline, *self.running):
            try:
                row = {"set": of_set, "photo": photo, "model": name, **self._measured(name, sample)}
            except StyleTransferError as error:
                fail(f"{name}: {photo}: {error} (the model is left out)")
                del self.running[name]
                self.rows = [row for row in self.rows if row["model"] != name]
                self.has_failed = True
                continue
            self.rows.append(row)

    def _measured(self, name: str, sample: Sample) -> Row:
        from styletransfer.core.damage import measure, restore_baseline, restore_by

        model = self.running.get(name)
        restored = restore_by(model, sample.damaged) if model else restore_baseline(sample.damaged, self.settings)
        row = {"training_loss": model.training_loss if model else "", "degradation": self.settings.describe()}
        return row | measure(restored, sample.target, self.settings, self.measures)


def _check_request(models: Sequence[str], photos: Sequence[Path], from_csv: Sequence[Path]) -> None:
    if not models and not from_csv:
        raise SettingsError("name the MODELs to measure, or figures to show with --from FILE.csv")
    if models and not photos:
        raise SettingsError("name a folder of undamaged photos with --photos")
    if photos and not models:
        raise SettingsError("--photos are for MODELs, and none is named")


def _check_tables(csv_file: Path | None, json_file: Path | None, inputs: Sequence[Path]) -> None:
    """Say what cannot be written before the work."""
    for path, option in ((csv_file, "--csv"), (json_file, "--json")):
        check_extra(path, option, inputs)
        if path is not None and path.exists():
            raise OutputError(f"{path}: exists; name another file (--from adds the figures of a .csv to these)")
