"""The yardstick: the objective of pictures that networks make, beside the optimisation of the same objective.

Johnson, Alahi, Fei-Fei 2016, section 4.1 and figure 5: on photos that a network never saw, its objective is compared
with that of L-BFGS after so many iterations on the same photo. Everything is in float32. Networks are measured by the
bytes that a user gets; the optimisation by its pixels before they are rounded.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from styletransfer.core.artefacts import measure
from styletransfer.core.errors import StyleTransferError
from styletransfer.core.yardstick import CHECKPOINTS, TERMS, Entry, EvaluateSettings, has_passed, is_enough
from styletransfer.training.data import to_bchw
from styletransfer.training.losses import LossTerms, Objective
from styletransfer.training.optimise import minimise, photo_objective, starting_picture
from styletransfer.training.vgg import VGGFeatures

Frame = NDArray[np.uint8]

_TIMED_RUNS = 3
SETTLE_S = 0.1
"""A runtime's threads spin for a while after a run and would take the optimisation's cores."""


@dataclass(frozen=True)
class Contender:
    """A style to be measured.

    Attributes:
        file: hash of its file, by which a later run knows that it is the same.
        stylize: from RGB uint8 ``[H, W, 3]`` to the same shape; training knows nothing of how.
    """

    file: str
    stylize: Callable[[Frame], Frame]


@dataclass(frozen=True)
class Follow:
    """What :func:`evaluate` tells while it works.

    Attributes:
        on_entry: after each part of an entry, with all entries: the time to save them.
        on_iteration: size, photo's name, start and iteration of the optimisation that is running.
        on_failed: a model that cannot make a picture, and why; it is left out from then on.
        stop: asked often; true ends the work, without the part that is being measured.
    """

    on_entry: Callable[[list[Entry]], None] | None = None
    on_iteration: Callable[[int, str, str, int], None] | None = None
    on_failed: Callable[[str, StyleTransferError], None] | None = None
    stop: Callable[[], bool] | None = None


@dataclass(frozen=True)
class Ground:
    """On what is measured.

    Attributes:
        objective: of the painting, on the device to work on; see :func:`make_objective`.
        painting_hwc: the painting, RGB uint8 ``[H, W, 3]``, whose colours the results are compared with.
        photos: name to RGB uint8 ``[H, W, 3]``, by size.
    """

    objective: Objective
    painting_hwc: Frame
    photos: Mapping[int, Mapping[str, Frame]]


def make_objective(vgg: VGGFeatures, painting_bchw: Tensor, kind: str) -> Objective:
    """The objective by its name in :data:`styletransfer.core.yardstick.OBJECTIVES`.

    Args:
        vgg: float32, on the device to work on.
        painting_bchw: RGB float32 ``[1, 3, H, W]``, 0..255, on the same device.
        kind: ``training``, or ``johnson``: content + 5 · Σ D_l + 1e-6 · TV.
    """
    return Objective(vgg.to(memory_format=torch.channels_last), painting_bchw, balanced=kind != "johnson")


def seconds_an_iteration(objective: Objective, side: int) -> float:
    """Seconds that one evaluation with its gradient takes on a picture of ``side`` × ``side`` pixels."""
    picture = starting_picture(torch.zeros(1, 3, side, side, device=device_of(objective)), "noise", 0)
    loss = photo_objective(objective, picture)
    minimise(loss, picture, 1)
    start = time.perf_counter()
    minimise(loss, picture, 1)  # the start and one step
    return (time.perf_counter() - start) / 2


def evaluate(
    settings: EvaluateSettings,
    ground: Ground,
    contenders: Mapping[str, Contender],
    entries: Sequence[Entry] = (),
    follow: Follow | None = None,
) -> list[Entry]:
    """Measure every contender on every photo, and optimise each photo.

    Args:
        settings: what to measure.
        ground: with the photos of every size of the settings.
        contenders: by name.
        entries: of an earlier run on the same painting with the same :meth:`EvaluateSettings.baseline`; what they
            hold of the same pixels and files is not measured again.
        follow: what to tell meanwhile.

    Returns:
        All entries, old and new; see :mod:`styletransfer.core.yardstick`. They are unfinished where ``follow.stop``
        ended the work.

    Raises:
        DivergedError: the objective is not finite.
    """
    work = _Evaluation(settings, ground, dict(contenders), follow or Follow())
    known = {(entry["size"], entry["photo"], entry["pixels"]): entry for entry in entries}
    for size in settings.sizes:
        for name, photo in ground.photos[size].items():
            pixels = hashlib.sha256(photo.tobytes()).hexdigest()[:16]
            fresh = {"size": size, "photo": name, "pixels": pixels, "models": {}, "optimisation": {}}
            entry = known.setdefault((size, name, pixels), fresh)
            for measured in work.parts(entry, photo):
                if measured and work.follow.on_entry is not None:
                    work.follow.on_entry(list(known.values()))
            if work.is_stopped():
                return list(known.values())
    return list(known.values())


class _Evaluation:
    """What stays the same from photo to photo; ``running`` loses the models that fail."""

    def __init__(
        self, settings: EvaluateSettings, ground: Ground, running: dict[str, Contender], follow: Follow
    ) -> None:
        self.settings, self.ground, self.running, self.follow = settings, ground, running, follow
        self.device = device_of(ground.objective)

    def is_stopped(self) -> bool:
        return self.follow.stop is not None and self.follow.stop()

    def parts(self, entry: Entry, photo: Frame) -> Iterator[bool]:
        """Fill in what the entry lacks; after each part, whether something was measured."""
        yield self._measure_models(entry, photo)
        for start in self.settings.starts if self.settings.iterations else ():
            totals = [entry["models"][name]["total"] for name in self.running]
            if self.is_stopped() or is_enough(entry["optimisation"].get(start), self.settings, totals):
                continue
            run = self._optimise(entry, photo, start, totals)
            if run is not None:
                entry["optimisation"][start] = run
            yield run is not None

    def _measure_models(self, entry: Entry, photo: Frame) -> bool:
        missing = [
            name
            for name, contender in self.running.items()
            if entry["models"].get(name, {}).get("file") != contender.file
        ]
        if "untouched" in entry and not missing:
            return False
        target = to_bchw(photo, self.device)
        loss = photo_objective(self.ground.objective, target)
        with torch.no_grad():
            entry["untouched"] = floats_of(loss(target))
            for name in missing:
                entry["models"].pop(name, None)
                try:
                    result, seconds = timed(self.running[name].stylize, photo)
                except StyleTransferError as error:
                    del self.running[name]
                    if self.follow.on_failed is not None:
                        self.follow.on_failed(name, error)
                    continue
                artefacts = measure(result, photo, self.ground.painting_hwc)
                entry["models"][name] = {
                    "file": self.running[name].file,
                    **floats_of(loss(to_bchw(result, self.device))),
                    "seconds": float(f"{seconds:.4g}"),
                    "artefacts": {key: round(value, 4) for key, value in artefacts.items()},
                }
        time.sleep(SETTLE_S)
        return True

    def _optimise(self, entry: Entry, photo: Frame, start: str, totals: Sequence[float]) -> dict[str, Any] | None:
        """One optimisation, as an entry has it; None where it was stopped."""
        settings = self.settings
        wanted = {*CHECKPOINTS, *settings.checkpoints}
        best: list[float] = []
        lowest: dict[str, float] = {}
        at: dict[str, dict[str, float]] = {}
        is_passed = False

        def on_iteration(iteration: int, terms: LossTerms, _: Tensor) -> bool:
            nonlocal lowest, is_passed
            figures = floats_of(terms)
            if not lowest or figures["total"] < lowest["total"]:
                lowest = figures
            best.append(lowest["total"])
            if iteration in wanted:
                at[str(iteration)] = lowest
            if self.follow.on_iteration is not None:
                self.follow.on_iteration(entry["size"], entry["photo"], start, iteration)
            if settings.stop_when_passed and iteration in settings.checkpoints:
                is_passed = has_passed(best, settings.checkpoints, totals)
            return is_passed or self.is_stopped()

        began = time.perf_counter()
        target = to_bchw(photo, self.device)
        picture = starting_picture(target, start, settings.seed)
        minimise(
            photo_objective(self.ground.objective, target), picture, settings.iterations, on_iteration=on_iteration
        )
        seconds = time.perf_counter() - began
        iterations = len(best) - 1
        if iterations < settings.iterations and not is_passed and self.is_stopped():
            return None
        is_done = iterations < settings.iterations and not is_passed  # there was nowhere lower to go
        if is_done:
            at.update({str(later): lowest for later in wanted if later > iterations})
        return {"best": best, "at": at, "iterations": iterations, "seconds": round(seconds, 3), "is_done": is_done}


def timed(stylize: Callable[[Frame], Frame], photo: Frame) -> tuple[Frame, float]:
    """The result, and the median time of a few runs after the first."""
    result = stylize(photo)
    seconds = []
    for _ in range(_TIMED_RUNS):
        start = time.perf_counter()
        stylize(photo)
        seconds.append(time.perf_counter() - start)
    return result, max(statistics.median(seconds), 1e-9)  # a clock may be too coarse for what does nothing


def floats_of(terms: LossTerms) -> dict[str, float]:
    """Content, style, TV and total as numbers of seven digits."""
    figures = terms.floats()
    return {name: float(f"{figures[name]:.7g}") for name in TERMS}


def device_of(objective: Objective) -> torch.device:
    """What an objective is computed on."""
    return objective.vgg.mean.device
