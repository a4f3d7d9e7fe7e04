"""Painting one picture by optimisation: Gatys, Ecker, Bethge 2016, at one scale or several.

Each scale starts from the enlarged result of the one before, as Gatys et al. 2017 ("Controlling Perceptual Factors in
Neural Style Transfer") do for large results: optimised at its full size alone, a large picture only gets fine strokes.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from styletransfer.core.baseline import GatysSettings
from styletransfer.core.match import match_colors
from styletransfer.core.pictures import resize_frame
from styletransfer.training.data import to_bchw
from styletransfer.training.gatys_objective import GatysObjective
from styletransfer.training.gatys_plan import Commission, Frame
from styletransfer.training.gatys_state import damage_explained, fingerprint, load_state, save_state
from styletransfer.training.losses import Objective
from styletransfer.training.optimise import Minimiser, PictureLoss, photo_objective, starting_picture
from styletransfer.training.vgg import VGGFeatures


@dataclass(frozen=True)
class Moment:
    """Where an optimisation stands.

    Attributes:
        scale: index into the settings' sizes.
        size_wh: of the picture at this scale, pixels.
        iteration: done at this scale, from 0.
        iterations: to do at this scale.
        losses: of the present picture: content, style, tv, total and more.
        best: lowest total at this scale so far.
    """

    scale: int
    size_wh: tuple[int, int]
    iteration: int
    iterations: int
    losses: dict[str, float]
    best: float


@dataclass(frozen=True)
class Follow:
    """How a caller follows an optimisation.

    Attributes:
        on_iteration: called after every evaluation.
        stop: asked then; true saves the state and ends.
        on_preview: called with the best picture so far, uint8 ``[H, W, 3]``.
        preview_every, save_every: iterations; 0 for never.
    """

    on_iteration: Callable[[Moment], None] = lambda _: None
    stop: Callable[[], bool] = lambda: False
    on_preview: Callable[[Frame], None] = lambda _: None
    preview_every: int = 0
    save_every: int = 0


@dataclass(frozen=True)
class Painted:
    """What came of an optimisation.

    Attributes:
        frame_hwc: the best picture of the last scale, RGB uint8 ``[H, W, 3]``.
        moment: where it ended.
        seconds: spent on it, interruptions left out.
        is_finished: false where :attr:`Follow.stop` ended it.
    """

    frame_hwc: Frame
    moment: Moment
    seconds: float
    is_finished: bool


def paint(
    commission: Commission,
    vgg: VGGFeatures,
    *,
    work: Path | None = None,
    resume: bool = False,
    follow: Follow | None = None,
) -> Painted:
    """Paint one photo after one painting.

    Args:
        commission: the photo, the painting, the settings.
        vgg: the loss network, on the device to work on; it is brought into channels_last.
        work: folder for the state; ``None``: nothing is saved.
        resume: continue from the state in ``work``. On a CPU the result equals an uninterrupted one, L-BFGS's
            history and Adam's moments included; a GPU's sums have no fixed order.
        follow: how to follow and stop it.

    Raises:
        CheckpointError: there is nothing to resume, or it belongs to other pictures or settings.
        DivergedError: the loss is not finite.
        OutputError: the state cannot be written.
    """
    follow, settings = follow or Follow(), commission.settings
    vgg.to(memory_format=torch.channels_last)
    key = {"photo": fingerprint(commission.photo_hwc), "painting": fingerprint(commission.painting_hwc)}
    saved = load_state(work, settings, key) if resume and work is not None else None
    first, spent = (saved["scale"], saved["seconds"]) if saved else (0, 0.0)
    if settings.match_colors:
        matched = match_colors(commission.painting_hwc, commission.photo_hwc)
        commission = dataclasses.replace(commission, painting_hwc=matched)
    started = time.perf_counter()
    result: Tensor | None = None
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False):  # float32 means float32
        for scale in range(first, len(settings.sizes)):
            minimiser = _prepare(commission, scale, vgg, result)
            result = None  # its memory is worth having
            if saved is not None and work is not None:
                with damage_explained(work):
                    minimiser.restore(saved["minimiser"])
                saved = None

            def save(scale: int = scale, minimiser: Minimiser = minimiser) -> None:
                seconds = spent + time.perf_counter() - started
                if work is not None:
                    state = {"scale": scale, "seconds": seconds, "minimiser": minimiser.state()}
                    save_state(work, settings, key, state)

            moment, stopped = _descend(minimiser, settings, scale, follow, save)
            result = minimiser.best_bchw
            del minimiser, save
            if stopped:
                break
    assert result is not None  # there is at least one scale
    return Painted(to_frame(result), moment, spent + time.perf_counter() - started, not stopped)


def _prepare(commission: Commission, scale: int, vgg: VGGFeatures, before: Tensor | None) -> Minimiser:
    """The minimisation at one scale, from the enlarged result ``before`` where there is one."""
    device, settings = vgg.mean.device, commission.settings
    photo = to_bchw(resize_frame(commission.photo_hwc, commission.photo_size(scale)), device)
    painting = to_bchw(resize_frame(commission.painting_hwc, commission.painting_size(scale)), device)
    if before is None:
        start = starting_picture(photo, settings.start, settings.seed)
    else:
        start = F.interpolate(before, photo.shape[2:], mode="bicubic").clamp_(0, 255)
    return Minimiser(_objective(vgg, photo, painting, settings), start, optimiser=settings.optimiser)


def _descend(
    minimiser: Minimiser,
    settings: GatysSettings,
    scale: int,
    follow: Follow,
    save: Callable[[], None],
) -> tuple[Moment, bool]:
    """Go down at one scale; where it ended, and whether the caller ended it."""
    height, width = minimiser.picture_bchw.shape[2:]
    iterations = settings.iterations_by_scale[scale]
    is_fresh = True
    while True:
        # A state is saved before an evaluation, which a resumed run then repeats: nothing else has to be kept.
        if not is_fresh and _due(minimiser.iteration, follow.save_every):
            save()
        losses = minimiser.evaluate().floats()
        moment = Moment(scale, (width, height), minimiser.iteration, iterations, losses, minimiser.best_loss)
        follow.on_iteration(moment)
        if not is_fresh and _due(minimiser.iteration, follow.preview_every):
            follow.on_preview(to_frame(minimiser.best_bchw))
        if follow.stop():
            save()
            return moment, True
        if minimiser.iteration >= iterations or not minimiser.advance():
            return moment, False
        is_fresh = False


def _due(iteration: int, every: int) -> bool:
    return every > 0 and iteration % every == 0


def _objective(vgg: VGGFeatures, photo: Tensor, painting: Tensor, settings: GatysSettings) -> PictureLoss:
    weights = settings.weights
    if settings.objective == "gatys":
        return GatysObjective(vgg, photo, painting, weights)
    objective = Objective(
        vgg, painting, content_weight=weights.content, style_weight=weights.style, tv_weight=weights.tv
    )
    return photo_objective(objective, photo)


def to_frame(picture_bchw: Tensor) -> Frame:
    """Float ``[1, 3, H, W]``, 0..255, to RGB uint8 ``[H, W, 3]``."""
    rounded = picture_bchw.detach()[0].permute(1, 2, 0).round().to(torch.uint8)
    return np.ascontiguousarray(rounded.cpu().numpy())
