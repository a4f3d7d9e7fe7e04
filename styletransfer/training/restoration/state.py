"""What a training of a restoring network keeps, in the same folders as a style's (:mod:`..checkpoint`)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styletransfer.core.errors import CheckpointError
from styletransfer.core.settings_restore import RestoreSettings
from styletransfer.training.checkpoint import (
    RESTORER,
    damage_explained,
    read_checkpoint,
    read_state,
    state_explained,
    write_checkpoint,
)
from styletransfer.training.losses.expression import WeightedLoss
from styletransfer.training.restoration.networks import RestoreNet, build_restorer
from styletransfer.training.standing import Standing


@dataclass(frozen=True)
class RestoreProgress(Standing):
    """Where a training stands.

    Attributes:
        settings: what it was told.
    """

    settings: RestoreSettings


@dataclass(frozen=True)
class Learning:
    """What goes on learning: the network, Adam, the mean of the weights, and a loss that learns (or none).

    Attributes:
        network: as Adam leaves it.
        average: the running mean of its weights, which is what a training results in.
        optimiser: of the network.
        loss: with its discriminators, if it has any.
    """

    network: RestoreNet
    average: RestoreNet
    optimiser: torch.optim.Optimizer
    loss: WeightedLoss

    def follow(self, decay: float, step: int) -> None:
        """Take the network's weights into the mean; over few steps it forgets faster, or it would keep the start."""
        decay = min(decay, (1 + step) / (10 + step))
        with torch.no_grad():
            wanted = self.network.state_dict()
            for name, value in self.average.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(wanted[name], 1 - decay)
                else:  # batch norm's counter
                    value.copy_(wanted[name])


def build_from(settings: RestoreSettings) -> RestoreNet:
    """A freshly initialised network for these settings."""
    return build_restorer(settings.network, settings.scale, settings.channels, settings.layers, settings.stem)


def save_progress(folder: Path, learning: Learning, progress: RestoreProgress) -> Path:
    """Write ``folder/checkpoint-<step>`` and remove the others.

    Raises:
        OutputError: it cannot be written (permission, full disk); the one before it is kept.
    """
    state = {
        "network": {name: value.detach().cpu() for name, value in learning.network.state_dict().items()},
        "optimiser": learning.optimiser.state_dict(),
        "loss": learning.loss.learned_state(),
    }
    record = {"kind": RESTORER, **dataclasses.asdict(progress)}
    return write_checkpoint(folder, progress.step, learning.average.state_dict(), state, record)


def load_progress(path: Path) -> tuple[RestoreNet, RestoreProgress]:
    """The network with the mean of its weights, on the CPU, and where its training stands.

    Raises:
        CheckpointError: the checkpoint is damaged, of another version, or a style's.
    """
    with damage_explained(path):
        record, weights = read_checkpoint(path)
        if record.pop("kind", "") != RESTORER:
            raise CheckpointError(f"{path}: the checkpoint of a style; one of `styletransfer train-restore` is needed")
        settings = RestoreSettings(**record.pop("settings"))
        progress = RestoreProgress(settings=settings, **record)
        network = build_from(settings)
        network.load_state_dict(weights)
    return network, progress


def load_learning(path: Path, learning: Learning) -> None:
    """Put a checkpoint's state into network, optimiser and loss; the mean comes from :func:`load_progress`.

    Raises:
        CheckpointError: the state is missing or damaged.
    """
    with state_explained(path):
        state: dict[str, Any] = read_state(path)
        weights: dict[str, Tensor] = state["network"]
        learning.network.load_state_dict(weights)
        learning.optimiser.load_state_dict(state["optimiser"])
        learning.loss.load_learned_state(state["loss"])
