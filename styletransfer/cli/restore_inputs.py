"""What ``styletransfer evaluate-restore`` works with: models, test sets and measures, all checked before the work."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styletransfer.cli.common import warn
from styletransfer.core.errors import InputError, MissingExtraError, SettingsError
from styletransfer.core.restoration import FIDELITY, METRICS, RestoreEvalSettings

if TYPE_CHECKING:
    from styletransfer.core.damage import Measure, Restoring, Spoil


def load_restorers(models: Sequence[str], provider: str) -> dict[str, Any]:
    """Every model's ``runtime.restorer.Restorer`` by its name in the tables."""
    from styletransfer.core import zoo
    from styletransfer.runtime.restorer import Restorer

    loaded: dict[str, Any] = {}
    for model in dict.fromkeys(models):
        restorer = Restorer(zoo.resolve_restorer(model), provider)
        taken = {*loaded, "bicubic", "damaged"}
        loaded[restorer.name if restorer.name not in taken else model] = restorer
    return loaded


def common(what: str, asked: str, loaded: dict[str, Any]) -> str:
    """The task or the scale: what was asked for, or what all models are made for."""
    found = {name: str(getattr(restorer, what)) for name, restorer in loaded.items()}
    wanted = asked or next(iter(found.values()))
    for name, value in found.items():
        if value != wanted and (what == "scale" or not asked):
            raise SettingsError(f"{name} is made for the {what} {value}, not {wanted}; evaluate it by itself")
        if value != wanted:
            warn(f"{name} is made for the task {value}, not {wanted}")
    return wanted


def webcam_spoil() -> Spoil:
    """What ``clean`` undoes, as its training has it."""
    from styletransfer.training.restoration.degrade import as_webcam

    return as_webcam


def as_restoring(restorer: Any) -> Restoring:
    """A loaded restorer with the loss that its card states."""
    from styletransfer.core.damage import Restoring

    return Restoring(restorer, str(restorer.card.training.get("loss", "")))


def build_measures(
    settings: RestoreEvalSettings, device: str, *, is_chosen: bool
) -> tuple[RestoreEvalSettings, dict[str, Measure]]:
    """The functions of the metrics; without a choice those that are not installed are left out, with a word."""
    measures: dict[str, Measure] = {}
    for metric in settings.metrics:
        if metric in FIDELITY:
            continue
        try:
            measures[metric] = _build(metric, device)
        except MissingExtraError as error:
            if is_chosen:
                raise
            warn(f"{error} (left out)")
    there = tuple(name for name in settings.metrics if name in FIDELITY or name in measures)
    return replace(settings, metrics=there), measures


def _build(metric: str, device: str) -> Measure:
    from styletransfer.cli.lossnet import device_for

    on = device_for(device, f"measure {METRICS[metric].title}")
    from styletransfer.training.perceptual_measures import build_measure

    return build_measure(metric, on)


def names_within(files: Sequence[Path]) -> list[str]:
    """What tells the photos of a set apart: their names, or, where two have one, their paths below what all share."""
    names = [path.name for path in files]
    if len(set(names)) == len(names):
        return names
    common = os.path.commonpath([path.parent for path in files])
    return [path.relative_to(common).as_posix() for path in files]


def find_sets(folders: Sequence[Path], only: Path | None, count: int) -> dict[str, list[Path]]:
    """The photos of every set by the folder's name; a set that ``only`` names is called by its file."""
    from styletransfer.core.photos import find_photos

    names = None
    if only is not None:
        try:
            lines = only.read_text(encoding="utf-8-sig").splitlines()
            names = {line.strip() for line in lines if line.strip()}
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{only}: cannot be read as a list of names ({error})") from error
    sets: dict[str, list[Path]] = {}
    for folder in folders:
        found = find_photos(folder)
        name = folder.resolve().name
        if names is not None:
            found = [path for path in found if path.name in names]
            name = only.stem if only is not None and len(folders) == 1 else name
            if len(found) < len(names):
                warn(f"{folder}: has {len(found)} of the {len(names)} photos that {only} names")
        if count and count < len(found):
            found = [found[index * len(found) // count] for index in range(count)]
        sets[name if name not in sets else str(folder)] = found
    return sets
