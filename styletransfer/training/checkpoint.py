"""Checkpoints: a folder with the weights (safetensors), what rebuilds the network (JSON) and the optimiser's state.

A checkpoint is written under a temporary name and renamed, so that an interrupted training leaves the last whole one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from styletransfer.core.card import Painting
from styletransfer.core.errors import CheckpointError, DivergedError, SettingsError
from styletransfer.core.files import explain_os_error, full_disk
from styletransfer.core.settings import TrainSettings
from styletransfer.training.network import NETWORKS, StyleNet
from styletransfer.training.standing import Standing

_WEIGHTS, _SETTINGS, _OPTIMISER = "network.safetensors", "settings.json", "optimiser.pt"
_NAME = re.compile(r"checkpoint-(\d{6,})")
_VERSION = 1

RESTORER = "restorer"
"""Kind of the checkpoints of networks that restore; a style's have none."""


@dataclass(frozen=True)
class Progress(Standing):
    """Where a style's training stands.

    Attributes:
        settings: what it was told.
        painting: what it paints after.
    """

    settings: TrainSettings
    painting: Painting


class Optimiser(Protocol):
    """What a checkpoint saves of an optimiser; torch's have it."""

    def state_dict(self) -> dict[str, Any]:
        """All that :meth:`load_state_dict` needs."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""


def build_network(settings: TrainSettings) -> StyleNet:
    """A freshly initialised network for these settings."""
    return NETWORKS[settings.architecture](settings.width)


def save_checkpoint(folder: Path, network: nn.Module, optimiser: Optimiser, progress: Progress) -> Path:
    """Write ``folder/checkpoint-<step>`` and remove the others: the ones before it, and an earlier training's.

    Raises:
        OutputError: it cannot be written (permission, full disk); the one before it is kept.
    """
    return write_checkpoint(
        folder, progress.step, network.state_dict(), optimiser.state_dict(), dataclasses.asdict(progress)
    )


def write_checkpoint(
    folder: Path, step: int, weights: dict[str, Tensor], state: dict[str, Any], record: dict[str, Any]
) -> Path:
    """:func:`save_checkpoint` of any training.

    Args:
        folder: the training's own.
        step: steps done.
        weights: what the network is rebuilt from.
        state: what only a resumed training needs, of types that ``torch.load`` takes with ``weights_only``.
        record: settings and circumstances, as JSON takes them.

    Raises:
        OutputError: it cannot be written (permission, full disk); the one before it is kept.
        DivergedError: a weight is not finite; the one before it is kept.
    """
    if not all(value.isfinite().all() for value in weights.values()):
        raise DivergedError(
            f"after {step} steps weights are no numbers any more: training diverged. Try half the learning rate "
            f"(--learning-rate); the last checkpoint in {folder} is from before"
        )
    target = folder / f"checkpoint-{step:06d}"
    partial = folder / f"{target.name}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file({name: value.detach().cpu().contiguous() for name, value in weights.items()}, partial / _WEIGHTS)
        torch.save(state, partial / _OPTIMISER)
        text = json.dumps({"version": _VERSION, **record}, indent=2)
        (partial / _SETTINGS).write_text(text, encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise explain_os_error(error, target) from error
    except (RuntimeError, SafetensorError) as error:  # what torch and safetensors make of a full disk
        shutil.rmtree(partial, ignore_errors=True)
        raise explain_os_error(full_disk(error), target) from error
    for other, old in _checkpoints(folder):
        if other != step:
            shutil.rmtree(old, ignore_errors=True)
    return target


def find_checkpoint(path: Path) -> Path:
    """The checkpoint that ``path`` is, or the latest one in the training folder that it is.

    Raises:
        CheckpointError: there is none.
    """
    if (path / _SETTINGS).is_file():
        return path
    found = _checkpoints(path)
    if not found:
        raise CheckpointError(f"{path}: no checkpoint there; name a folder that a training made")
    return found[-1][1]


def is_unfinished(folder: Path, out: Path) -> bool:
    """Whether a training's folder holds work that never came to its end, or to its file.

    Args:
        folder: the training's.
        out: its file, which may have been exported halfway.
    """
    found = _checkpoints(folder)
    if not found or not found[-1][0]:  # not a step
        return False
    saved = found[-1][1] / _SETTINGS
    try:
        record = json.loads(saved.read_text(encoding="utf-8"))
        minutes = record["settings"].get("minutes", 0)
        is_done = record["seconds"] >= 60 * minutes if minutes else record["step"] >= record["settings"]["steps"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # damaged: not ours to throw away
        return True
    return not (is_done and out.exists() and out.stat().st_mtime >= saved.stat().st_mtime)


def load_checkpoint(path: Path) -> tuple[StyleNet, Progress]:
    """The network with its weights, and where its training stands.

    Raises:
        CheckpointError: the checkpoint is damaged or of another version.
    """
    with damage_explained(path):
        record, weights = read_checkpoint(path)
        if record.pop("kind", "") == RESTORER:
            raise CheckpointError(f"{path}: the checkpoint of a network that restores, not of a style")
        settings = TrainSettings(**record.pop("settings"))
        progress = Progress(settings=settings, painting=Painting(**record.pop("painting")), **record)
        network = build_network(settings)
        network.load_state_dict(weights)
    return network, progress


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Record and weights of :func:`write_checkpoint`, to be called within :func:`damage_explained`."""
    record: dict[str, Any] = json.loads((path / _SETTINGS).read_text(encoding="utf-8"))
    if record.pop("version") != _VERSION:
        raise CheckpointError(f"{path}: written by another version of styletransfer; train again")
    return record, load_file(path / _WEIGHTS)


def is_restorer(path: Path) -> bool:
    """Whether a checkpoint is of a network that restores.

    Raises:
        CheckpointError: it is damaged or of another version.
    """
    with damage_explained(path):
        return bool(read_checkpoint(path)[0].get("kind") == RESTORER)
    return False


@contextlib.contextmanager
def damage_explained(path: Path) -> Iterator[None]:
    """One-line :class:`CheckpointError` for whatever goes wrong while a checkpoint is read."""
    try:
        yield
    except CheckpointError:
        raise
    except SettingsError as error:
        raise CheckpointError(f"{path}: the checkpoint's settings are damaged ({error})") from error
    except Exception as error:  # json, safetensors and torch each have their own
        raise CheckpointError(
            f"{path}: damaged or no checkpoint ({type(error).__name__}); train again without --resume"
        ) from error


def load_optimiser(path: Path, optimiser: Optimiser) -> None:
    """Put the checkpoint's optimiser state into ``optimiser``.

    Raises:
        CheckpointError: the state is missing or damaged.
    """
    with state_explained(path):
        optimiser.load_state_dict(read_state(path))


def read_state(path: Path) -> dict[str, Any]:
    """The state of :func:`write_checkpoint`, to be called within :func:`state_explained`."""
    state: dict[str, Any] = torch.load(path / _OPTIMISER, map_location="cpu", weights_only=True)
    return state


@contextlib.contextmanager
def state_explained(path: Path) -> Iterator[None]:
    """One-line :class:`CheckpointError` for whatever goes wrong while a checkpoint's state is read."""
    try:
        yield
    except Exception as error:  # torch raises errors of many kinds
        raise CheckpointError(
            f"{path}: the optimiser's state is damaged ({type(error).__name__}); train again without --resume"
        ) from error


def _checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Whole checkpoints by step; none where there is no folder."""
    if not folder.is_dir():
        return []
    found = [
        (int(match[1]), entry)
        for entry in folder.iterdir()
        if (match := _NAME.fullmatch(entry.name)) and (entry / _SETTINGS).is_file()
    ]
    return sorted(found)
