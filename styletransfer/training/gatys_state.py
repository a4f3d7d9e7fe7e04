"""Where an interrupted optimisation stands, on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from styletransfer.core.baseline import GatysSettings
from styletransfer.core.errors import CheckpointError
from styletransfer.core.files import atomic_path, explain_os_error, full_disk

STATE_NAME = "state.pt"
_VERSION = 1


def fingerprint(frame_hwc: NDArray[np.uint8]) -> str:
    """What tells one picture from another."""
    return hashlib.sha256(repr(frame_hwc.shape).encode() + frame_hwc.tobytes()).hexdigest()


def save_state(work: Path, settings: GatysSettings, key: dict[str, str], state: dict[str, Any]) -> None:
    """Write the state of a run into the folder ``work``; it appears whole or not at all.

    Args:
        work: the folder, made where it is missing.
        settings: of the run.
        key: what the run is about: :func:`fingerprint` by name.
        state: where it stands: ``scale``, ``seconds`` and ``minimiser``.

    Raises:
        OutputError: it cannot be written; the one before it is kept.
    """
    record = {"version": _VERSION, "settings": dataclasses.asdict(settings), **key, **state}
    path = work / STATE_NAME
    try:
        with atomic_path(path) as temporary:
            torch.save(record, temporary)
    except RuntimeError as error:  # what torch makes of a full disk
        raise explain_os_error(full_disk(error), path) from error


def check_state(work: Path) -> None:
    """See that there is something to resume.

    Raises:
        CheckpointError: there is not.
    """
    path = work / STATE_NAME
    if not path.is_file():
        raise CheckpointError(f"{path}: nothing to resume there; leave --resume out to start anew")


@contextlib.contextmanager
def damage_explained(work: Path) -> Iterator[None]:
    """One-line :class:`CheckpointError` for whatever goes wrong while a state is read."""
    try:
        yield
    except Exception as error:  # torch's reader raises errors of many kinds
        raise CheckpointError(
            f"{work / STATE_NAME}: damaged or of another version ({type(error).__name__}); leave --resume out to "
            "start anew"
        ) from error


def load_state(work: Path, settings: GatysSettings, key: dict[str, str]) -> dict[str, Any]:
    """The state that :func:`save_state` wrote: ``scale``, ``seconds`` and ``minimiser``.

    Raises:
        CheckpointError: there is none, it is damaged, or it belongs to other pictures or settings.
    """
    path = work / STATE_NAME
    check_state(work)
    with damage_explained(work):
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if saved["version"] != _VERSION:
            raise ValueError("another version")
        theirs = dict(saved["settings"])
        kept = {"scale": int(saved["scale"]), "seconds": float(saved["seconds"]), "minimiser": saved["minimiser"]}
        same = {name: saved[name] == value for name, value in key.items()}
    for name, is_same in same.items():
        if not is_same:
            raise CheckpointError(f"{path}: the interrupted run had another {name}; leave --resume out to start anew")
    for name, ours in dataclasses.asdict(settings).items():
        if name != "iterations" and theirs.get(name) != ours:
            raise CheckpointError(
                f"{path}: the interrupted run had {name} {theirs.get(name)}, now it is {ours}; give the same options, "
                "or leave --resume out to start anew"
            )
    return kept
