"""One photo, painted by a network and by the optimisation that it replaces."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from styletransfer.training.data import to_bchw
from styletransfer.training.evaluate import SETTLE_S, device_of, floats_of, timed
from styletransfer.training.losses import LossTerms, Objective
from styletransfer.training.optimise import minimise, photo_objective, starting_picture

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class Comparison:
    """One photo, painted twice.

    Attributes:
        untouched, optimised, network: losses of the photo and of both results, by :data:`TERMS`.
        optimised_hwc, network_hwc: the results, RGB uint8 ``[H, W, 3]``.
        seconds, network_seconds: what they took.
        best: lowest objective within the first 0, 1, 2, ... iterations.
    """

    untouched: dict[str, float]
    optimised: dict[str, float]
    network: dict[str, float]
    optimised_hwc: Frame
    network_hwc: Frame
    seconds: float
    network_seconds: float
    best: list[float]


def compare_one(
    objective: Objective,
    photo_hwc: Frame,
    stylize: Callable[[Frame], Frame],
    iterations: int,
    *,
    start: str = "photo",
    seed: int = 0,
    on_iteration: Callable[[int, float], bool] | None = None,
) -> Comparison:
    """Paint one photo by a network and by optimisation; both are measured by the bytes that they come to.

    Args:
        objective: of the painting.
        photo_hwc: RGB uint8 ``[H, W, 3]``.
        stylize: the network.
        iterations: of L-BFGS.
        start: ``photo`` or ``noise``.
        seed: of the noise.
        on_iteration: called with the iteration and the lowest objective so far; true ends the work.

    Raises:
        DivergedError: the objective is not finite.
    """
    device = device_of(objective)
    network_hwc, network_seconds = timed(stylize, photo_hwc)
    time.sleep(SETTLE_S)
    target = to_bchw(photo_hwc, device)
    loss = photo_objective(objective, target)
    curve: list[float] = []

    def follow(iteration: int, terms: LossTerms, _: Tensor) -> bool:
        curve.append(min([float(terms.total()), *curve[-1:]]))
        return on_iteration is not None and on_iteration(iteration, curve[-1])

    began = time.perf_counter()
    painted = minimise(loss, starting_picture(target, start, seed), iterations, on_iteration=follow)
    optimised_hwc = painted[0].permute(1, 2, 0).round().to(torch.uint8).cpu().contiguous().numpy()
    seconds = time.perf_counter() - began
    with torch.no_grad():
        untouched, optimised, network = (
            floats_of(loss(to_bchw(frame, device))) for frame in (photo_hwc, optimised_hwc, network_hwc)
        )
    return Comparison(untouched, optimised, network, optimised_hwc, network_hwc, seconds, network_seconds, best=curve)
