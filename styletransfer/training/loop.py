"""The training loop: photos, network, losses, optimiser; checkpoints, previews and a log on the way."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from styletransfer.core.card import Painting
from styletransfer.core.cores import cores
from styletransfer.core.download import file_sha256
from styletransfer.core.errors import CheckpointError, DivergedError
from styletransfer.core.frames import FramePair
from styletransfer.core.photos import find_photos
from styletransfer.core.pictures import Picture, resize_frame, save_picture
from styletransfer.core.settings import TrainSettings
from styletransfer.core.work import LOG_NAME
from styletransfer.training.checkpoint import (
    Progress,
    build_network,
    find_checkpoint,
    load_checkpoint,
    load_optimiser,
    save_checkpoint,
)
from styletransfer.training.data import EpochOrder, PhotoSampler, load_painting
from styletransfer.training.folding import fold_norms
from styletransfer.training.follow import PREVIEW_NAME, Callbacks, StepLog, is_due
from styletransfer.training.hardware import describe_device, loss_dtype, tune_allocator
from styletransfer.training.losses import Objective
from styletransfer.training.muon import MuonAdam
from styletransfer.training.network import LiveNet, PlainNet, StyleNet
from styletransfer.training.standing import check_same
from styletransfer.training.steadiness import PICTURES, ClipMotion, Disturbance, steadiness_loss
from styletransfer.training.vgg import VGGFeatures

_WARM_UP, _WARM_UP_FROM_A_STYLE = 0.3, 0.05  # share of the steps in which the learning rate rises
_LOSS_WINDOW = 50  # steps that the card's losses are averaged over
_FOLDED_BATCHES = 16  # of photos that stand for all where norms are folded
_PREVIEW_PHOTOS = 4
_PREVIEW_SIDE = 256


@dataclass(frozen=True)
class Paths:
    """What a training reads and where it keeps its state.

    Attributes:
        painting: picture file.
        photos: folder of photos, searched recursively.
        work: folder for checkpoints, previews and the log.
    """

    painting: Path
    photos: Path
    work: Path


# Longer than 50 lines: a training loop that reads straight from top to bottom.
def train(  # noqa: PLR0915
    settings: TrainSettings,
    paths: Paths,
    vgg: VGGFeatures,
    painting: Painting,
    *,
    init: Mapping[str, StyleNet] | None = None,
    pairs: Sequence[FramePair] = (),
    resume: bool = False,
    callbacks: Callbacks | None = None,
) -> tuple[StyleNet, Progress, PhotoSampler]:
    """Train a network on one painting.

    Args:
        settings: see :class:`TrainSettings`.
        paths: the painting, the photos, the working folder.
        vgg: the loss network.
        painting: what goes onto the card; its sha256 is filled in here.
        init: networks to start from by name; of several, the one that already has the lowest loss for this painting
            is taken, and a ``live`` one loses its norms where a ``plain`` one is trained. ``None`` or empty: from
            scratch.
        pairs: ``settings.clip_pairs`` pairs of frames of ``settings.image_size`` pixels, which steadiness is learned
            from in every second step; in the others, and without any, from moved photos.
        resume: continue from the latest checkpoint in ``paths.work``; the losses then equal an uninterrupted run's.
        callbacks: how to follow and stop it.

    Returns:
        The network on the CPU, where the training stands, and the sampler with its count of skipped photos. The step
        is below ``settings.steps`` where ``callbacks.stop`` ended the training.

    Raises:
        InputError: the painting or the photos cannot be used.
        CheckpointError: there is nothing to resume, or it belongs to other settings.
        DivergedError: a loss is not finite; the last checkpoint is kept.
        OutputError: the working folder cannot be written.
    """
    callbacks = callbacks or Callbacks()
    tune_allocator()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = loss_dtype(device)
    painting_bchw = load_painting(paths.painting, settings.style_size)
    painting = dataclasses.replace(painting, sha256=file_sha256(paths.painting))
    photos = find_photos(paths.photos)
    progress = Progress(settings, painting, step=0, photos=len(photos), device=describe_device(device))
    sampler = PhotoSampler(photos, settings.batch, settings.crop_size, settings.seed)

    torch.manual_seed(settings.seed)
    network = build_network(settings)
    checkpoint = None
    if resume:
        checkpoint = find_checkpoint(paths.work)
        network, saved = load_checkpoint(checkpoint)
        if saved.painting.sha256 != painting.sha256:
            raise CheckpointError(
                "the interrupted training had another painting; give the same one, or leave --resume out"
            )
        check_same(progress, saved)
        progress = dataclasses.replace(saved, device=progress.device)
    network = network.to(device).to(memory_format=torch.channels_last)
    vgg = vgg.to(device).to(memory_format=torch.channels_last)
    painting_bchw = painting_bchw.to(device=device, memory_format=torch.channels_last)
    vgg.stages.to(dtype)  # not its mean, which bfloat16 would round
    objective = Objective(
        vgg,
        painting_bchw,
        content_weight=settings.content_weight,
        style_weight=settings.style_weight,
        tv_weight=settings.tv_weight,
        smooth_weight=settings.smooth_weight,
    )
    optimiser = MuonAdam(network, settings.peak_rate, settings.peak_muon_rate)
    if checkpoint is not None:
        load_optimiser(checkpoint, optimiser)
    elif init:
        progress = dataclasses.replace(progress, init=_start_from(init, network, objective, sampler))

    def paint(photo_bchw: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            stylized_bchw: Tensor = network(photo_bchw)
        return stylized_bchw

    if checkpoint is None:  # whatever is resumed from now on is this training
        save_checkpoint(paths.work, network, optimiser, progress)
    unsteadiness = _Unsteadiness(settings.seed, pairs)
    preview = _Preview(sampler, painting_bchw, device)
    log = StepLog(paths.work / LOG_NAME, progress.step)
    recent = log.last(_LOSS_WINDOW)
    started = time.perf_counter() - progress.seconds
    workers = max(1, min(8, cores() // 2))
    with log:
        for step, batch in enumerate(sampler.batches(progress.step, settings.steps, workers), progress.step):
            optimiser.set_share(rate_share(step, settings.steps, warm=progress.init != "none"))
            photo = batch.photos.to(device, non_blocking=True).float()
            stylized = paint(photo)
            window = loss_window(settings, step)
            terms = objective(stylized[window].float(), photo[window], batch.gradients)
            if settings.stability_weight:
                unsteady = unsteadiness(step, paint, photo, stylized)
                terms = dataclasses.replace(terms, stability=settings.stability_weight * unsteady)
            optimiser.zero_grad()
            terms.total().backward()  # type: ignore[no-untyped-call]
            losses = terms.floats()
            if not math.isfinite(losses["total"]):
                raise DivergedError(
                    f"the loss is {losses['total']} at step {step + 1}: training diverged. Try half the learning rate "
                    f"(--learning-rate {settings.peak_rate / 2:g}); the last checkpoint in {paths.work} is from before"
                )
            optimiser.step()

            recent = [*recent[1 - _LOSS_WINDOW :], losses]
            done = step + 1
            means = {key: sum(entry[key] for entry in recent) / len(recent) for key in losses}
            seconds = time.perf_counter() - started
            progress = dataclasses.replace(progress, step=done, seconds=seconds, losses=means)
            log.write(done, losses, seconds)
            callbacks.on_step(done, losses)
            stopping = callbacks.stop()
            last = done == settings.steps or stopping
            if last or is_due(done, callbacks.preview_every):
                preview.save(network, paths.work / PREVIEW_NAME)
            if last or is_due(done, callbacks.checkpoint_every):
                save_checkpoint(paths.work, network, optimiser, progress)
            if stopping:
                break
    return network.to("cpu"), progress, sampler


def rate_share(step: int, steps: int, warm: bool) -> float:
    """Share of the peak learning rates at a step (from 0): a cosine up from 1/25, then one down to 1/1000 (Smith 2018).

    From another style (``warm``) the rise is short and the fall a straight line: there is little time.
    """
    rise = max(1, round((_WARM_UP_FROM_A_STYLE if warm else _WARM_UP) * steps))
    if step < rise:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * (step + 1) / rise)) / 2
    left = 1 - (step - rise) / max(1, steps - rise)
    return max(0.001, left if warm else (1 - math.cos(math.pi * left)) / 2)


def loss_window(settings: TrainSettings, step: int) -> tuple[slice, ...]:
    """What the losses see of a step's crops ``[N, 3, H, W]``: ``image_size`` pixels at a random place."""
    side = settings.image_size
    places = np.random.default_rng([settings.seed, step, 4]).integers(settings.crop_size - side + 1, size=2)
    return (slice(None), slice(None), *(slice(first, first + side) for first in places.tolist()))


def _start_from(init: Mapping[str, StyleNet], network: StyleNet, objective: Objective, sampler: PhotoSampler) -> str:
    """Load the candidate with the lowest loss on the first photos; returns its name."""
    device = next(network.parameters()).device
    photo = sampler(0).photos.to(device).float()
    losses: dict[str, float] = {}
    for name, candidate in init.items():
        with torch.no_grad():
            losses[name] = float(objective(candidate.to(device)(photo), photo).total())
    best = min(losses, key=losses.__getitem__)
    start = init[best]
    if isinstance(network, PlainNet) and isinstance(start, LiveNet):
        start = fold_norms(start, (sampler(step).photos.to(device).float() for step in range(_FOLDED_BATCHES)))
    network.load_state_dict(start.state_dict())
    return best


class _Unsteadiness:
    """How much what is painted changes between two views of the same things, from photos or from clips."""

    def __init__(self, seed: int, pairs: Sequence[FramePair]) -> None:
        self._seed, self._pairs = seed, pairs
        self._order = EpochOrder(len(pairs), seed)

    def __call__(
        self, step: int, paint: Callable[[Tensor], Tensor], photo_bchw: Tensor, stylized_bchw: Tensor
    ) -> Tensor:
        """The loss of a step, of whose photos and stylized photos the last ones are taken."""
        if self._pairs and step % 2:
            motion = ClipMotion(self._pairs[next(self._order.candidates(step // 2))])
            painted = paint(motion.frames(photo_bchw.device))
            return steadiness_loss(painted[:1], painted[1:], motion)
        photo_bchw, stylized_bchw = photo_bchw[-PICTURES:], stylized_bchw[-PICTURES:]
        disturbance = Disturbance.sample(self._seed, step, len(photo_bchw))
        return steadiness_loss(stylized_bchw, paint(disturbance.spoil(disturbance.move(photo_bchw))), disturbance)


class _Preview:
    """A row a photo: photo, stylized, painting."""

    def __init__(self, sampler: PhotoSampler, painting_bchw: Tensor, device: torch.device) -> None:
        side = _PREVIEW_SIDE
        fixed = PhotoSampler(sampler.paths, _PREVIEW_PHOTOS, side, sampler.seed + 1)
        self._photos = [fixed.photo_crop(index) for index in range(_PREVIEW_PHOTOS)]
        painting = painting_bchw[0].permute(1, 2, 0).to(torch.uint8).cpu().numpy()
        height = max(1, round(side * painting.shape[0] / painting.shape[1]))
        shown = resize_frame(np.ascontiguousarray(painting), (side, height))[: side * _PREVIEW_PHOTOS]
        self._painting = np.full((side * _PREVIEW_PHOTOS, side, 3), 255, np.uint8)
        self._painting[: shown.shape[0]] = shown
        self._device = device

    def save(self, network: nn.Module, path: Path) -> None:
        photos = torch.from_numpy(np.stack(self._photos)).permute(0, 3, 1, 2).float().to(self._device)
        with torch.no_grad():
            stylized = network(photos).clamp(0, 255).round().to(torch.uint8)
        results = stylized.permute(0, 2, 3, 1).cpu().numpy()
        rows = [np.concatenate(pair, axis=1) for pair in zip(self._photos, results, strict=True)]
        save_picture(Picture(np.concatenate([np.concatenate(rows), self._painting], axis=1)), path)
