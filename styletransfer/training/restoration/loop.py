"""The training loop of a restoring network: pairs of patches, the loss, Adam; checkpoints, previews and a log."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from pathlib import Path

import numpy as np
import torch

from styletransfer.core.cores import cores
from styletransfer.core.errors import DivergedError
from styletransfer.core.pictures import Picture, save_picture
from styletransfer.core.settings_restore import RestoreSettings
from styletransfer.core.work import LOG_NAME
from styletransfer.training.checkpoint import find_checkpoint
from styletransfer.training.follow import PREVIEW_NAME, Callbacks, StepLog, is_due
from styletransfer.training.hardware import describe_device, loss_dtype, tune_allocator
from styletransfer.training.losses.expression import WeightedLoss
from styletransfer.training.restoration.networks import RestoreNet
from styletransfer.training.restoration.patches import PatchSampler, find_all_photos
from styletransfer.training.restoration.state import (
    Learning,
    RestoreProgress,
    build_from,
    load_learning,
    load_progress,
    save_progress,
)
from styletransfer.training.standing import check_same

_WARM_UP = 0.02  # share of the training in which the learning rate rises
_LOSS_WINDOW = 50  # steps that the card's losses are averaged over
_FOREVER = 10_000_000  # steps, where a time is given
_PREVIEW_PATCHES = 4


# Longer than 50 lines: a training loop that reads straight from top to bottom.
def train_restorer(
    settings: RestoreSettings,
    photos: list[Path],
    work: Path,
    loss: WeightedLoss,
    *,
    init: tuple[str, RestoreNet] | None = None,
    resume: bool = False,
    callbacks: Callbacks | None = None,
) -> tuple[RestoreNet, RestoreProgress, PatchSampler]:
    """Train a network to undo what its task does to photos.

    Args:
        settings: see :class:`RestoreSettings`.
        photos: folders, searched recursively.
        work: folder for checkpoints, previews and the log.
        loss: what is made small; it is moved to the device. A discriminator in it is initialised by the caller.
        init: name and network to start from, of the same kind and size.
        resume: continue from the latest checkpoint in ``work``; with a number of steps the losses then equal an
            uninterrupted run's, with a time the rate goes on where it was.
        callbacks: how to follow and stop it.

    Returns:
        The network with the mean of the weights, on the CPU and in evaluation; where the training stands; and the
        sampler with its count of skipped photos.

    Raises:
        InputError: the photos cannot be used.
        CheckpointError: there is nothing to resume, or it belongs to other settings.
        DivergedError: a loss is not finite; the last checkpoint is kept.
        OutputError: the working folder cannot be written.
    """
    callbacks = callbacks or Callbacks()
    tune_allocator()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = loss_dtype(device)
    sampler = PatchSampler(find_all_photos(photos), settings)
    wanted = RestoreProgress(settings, step=0, photos=len(sampler.paths), device=describe_device(device))
    learning, progress = _begin(wanted, loss, init, find_checkpoint(work) if resume else None, device)
    network = learning.network.train()

    preview = _Preview(sampler, settings, device)
    started = time.perf_counter() - progress.seconds
    workers = max(1, min(8, cores() // 2))
    last_step = progress.step if is_finished(progress) else (settings.steps if not settings.minutes else _FOREVER)
    if not resume:  # whatever is resumed from now on is this training
        save_progress(work, learning, progress)
    with StepLog(work / LOG_NAME, progress.step) as log:
        recent = log.last(_LOSS_WINDOW)
        for step, batch in enumerate(sampler.batches(progress.step, last_step, workers), progress.step):
            rate = learning_rate(_share_done(step, progress.seconds, settings), settings.peak_rate)
            for group in learning.optimiser.param_groups:
                group["lr"] = rate
            spoiled, target = (
                part.to(device, non_blocking=True).float() / 255 for part in (batch.spoiled, batch.target)
            )
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                restored = network(spoiled)
            restored = restored.float()
            total, terms = loss(restored, target)
            learning.optimiser.zero_grad(set_to_none=True)
            total.backward()
            losses = {"total": float(total.detach()), **{name: float(term) for name, term in terms.items()}}
            if not all(math.isfinite(value) for value in losses.values()):
                raise DivergedError(
                    f"the loss is {losses['total']} at step {step + 1}: training diverged. Try half the learning rate "
                    f"(--learning-rate {settings.peak_rate / 2:g}); the last checkpoint in {work} is from before"
                )
            learning.optimiser.step()
            losses |= loss.discriminator_step(restored.detach(), target)
            learning.follow(settings.average, step)

            recent = [*recent[1 - _LOSS_WINDOW :], losses]
            done = step + 1
            means = {key: sum(entry[key] for entry in recent) / len(recent) for key in losses}
            seconds = time.perf_counter() - started
            progress = dataclasses.replace(progress, step=done, seconds=seconds, losses=means)
            log.write(done, losses, seconds)
            callbacks.on_step(done, losses)
            stopping = callbacks.stop()
            last = stopping or is_finished(progress)
            if last or is_due(done, callbacks.preview_every):
                preview.save(learning.average, work / PREVIEW_NAME)
            if last or is_due(done, callbacks.checkpoint_every):
                save_progress(work, learning, progress)
            if last:
                break
    return learning.average.to("cpu").eval(), progress, sampler


def is_finished(progress: RestoreProgress) -> bool:
    """Whether the training has had its steps, or its time."""
    settings = progress.settings
    if settings.minutes:
        return progress.seconds >= 60 * settings.minutes
    return progress.step >= settings.steps


def learning_rate(share: float, peak: float) -> float:
    """Rate when so much of the training is done (0..1): a short straight rise, then a cosine fall to 1/100."""
    if share < _WARM_UP:
        return peak * max(0.01, share / _WARM_UP)
    left = (1 + math.cos(math.pi * (share - _WARM_UP) / (1 - _WARM_UP))) / 2
    return peak * max(0.01, left)


def _share_done(step: int, seconds: float, settings: RestoreSettings) -> float:
    return min(1.0, seconds / (60 * settings.minutes) if settings.minutes else step / settings.steps)


def _begin(
    wanted: RestoreProgress,
    loss: WeightedLoss,
    init: tuple[str, RestoreNet] | None,
    resume_from: Path | None,
    device: torch.device,
) -> tuple[Learning, RestoreProgress]:
    """Network, mean and optimiser with where they stand: new as ``wanted``, or as a checkpoint has them."""
    progress, settings = wanted, wanted.settings
    torch.manual_seed(settings.seed)
    network = build_from(settings)
    if resume_from is not None:
        network, saved = load_progress(resume_from)
        check_same(wanted, saved)
        progress = dataclasses.replace(saved, device=wanted.device)
    elif init is not None:
        progress = dataclasses.replace(progress, init=init[0])
        network.load_state_dict(init[1].state_dict())
    network = network.to(device).to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval().requires_grad_(False)
    loss.to(device)  # before its own optimisers' state comes back
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.peak_rate, fused=True)
    learning = Learning(network, average, optimiser, loss)
    if resume_from is not None:
        load_learning(resume_from, learning)
    return learning, progress


class _Preview:
    """A row a patch: spoiled (enlarged by repeating pixels), restored, as it should be."""

    def __init__(self, sampler: PatchSampler, settings: RestoreSettings, device: torch.device) -> None:
        fixed = PatchSampler(sampler.paths, dataclasses.replace(settings, seed=(settings.seed + 1) % 2**31))
        self._pairs = [fixed.pair(index) for index in range(_PREVIEW_PATCHES)]
        self._scale, self._device = settings.scale, device

    def save(self, network: RestoreNet, path: Path) -> None:
        spoiled = np.stack([pair[0] for pair in self._pairs])
        with torch.no_grad():
            photos = torch.from_numpy(spoiled).permute(0, 3, 1, 2).to(self._device).float() / 255
            restored = (network(photos).clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        rows = [
            np.concatenate([before.repeat(self._scale, 0).repeat(self._scale, 1), result, target], axis=1)
            for (before, target), result in zip(self._pairs, restored, strict=True)
        ]
        save_picture(Picture(np.ascontiguousarray(np.concatenate(rows))), path)
