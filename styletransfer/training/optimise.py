"""Minimising an objective over the pixels of one picture: the optimisation that feed-forward networks replace.

Gatys, Ecker, Bethge 2016, section 2, with L-BFGS as they do; the pixels stay within 0..255 at every iteration, as in
Johnson, Alahi, Fei-Fei 2016, section 4.1 ("projected L-BFGS"). All in float32.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from styletransfer.core.baseline import OPTIMISERS, STARTS
from styletransfer.core.errors import DivergedError, SettingsError
from styletransfer.training.losses import LossTerms, Objective
from styletransfer.training.strips import terms_in_strips

HISTORY = 20
"""Pairs of steps and gradient differences that L-BFGS remembers; each costs 24 bytes a pixel."""

ADAM_RATE = 10.0
"""Adam's step, in grey levels: after 100 steps from a photo 4 % above L-BFGS; with 3 it is 12 %."""

_LEVELS = 255.0
_ADAM_BETAS = (0.9, 0.99)
_FIRST_STEP = 1.0  # RMS grey levels of a step that no history scales
_SHRINK = 0.4  # of a step that went uphill
_MAX_SHRINKS = 4  # then the history is forgotten

PictureLoss = Callable[[Tensor], LossTerms]
"""From a picture ``[1, 3, H, W]``, 0..255, to its losses; differentiable."""


def photo_objective(objective: Objective, photo_bchw: Tensor) -> PictureLoss:
    """The training's objective for one photo, whose content is computed once, not at every evaluation.

    Where the loss network ``saves_memory``, feature maps are computed twice instead of kept; the values are the same.

    Args:
        objective: of the painting.
        photo_bchw: RGB float32 ``[1, 3, H, W]``, 0..255, on the objective's device.
    """
    target = objective.content_target(photo_bchw)
    if objective.vgg.saves_memory:
        return lambda picture_bchw: terms_in_strips(objective, picture_bchw, target)
    return lambda picture_bchw: objective.against(picture_bchw, target)


def starting_picture(photo_bchw: Tensor, start: str, seed: int) -> Tensor:
    """What the optimisation starts from.

    Args:
        photo_bchw: RGB float32 ``[1, 3, H, W]``, 0..255.
        start: ``noise`` (white noise, uniform in 0..255, as Gatys et al. 2016) or ``photo``.
        seed: of the noise, which is the same on every device.

    Returns:
        A new tensor of the photo's shape, on its device.

    Raises:
        SettingsError: ``start`` is neither.
    """
    if start == "photo":
        return photo_bchw.detach().float().contiguous().clone()
    if start != "noise":
        raise SettingsError(f"start is {start!r}; allowed: {', '.join(STARTS)}")
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(photo_bchw.shape, generator=generator) * _LEVELS).to(photo_bchw.device)


def minimise(
    objective: PictureLoss,
    start_bchw: Tensor,
    iterations: int,
    *,
    optimiser: str = "lbfgs",
    history: int = HISTORY,
    on_iteration: Callable[[int, LossTerms, Tensor], bool | None] | None = None,
) -> Tensor:
    """Change a picture's pixels until its loss is low; one evaluation an iteration.

    Args:
        objective: from the picture to its losses, see :func:`photo_objective`.
        start_bchw: RGB float32 ``[1, 3, H, W]``, 0..255; it is not changed.
        iterations: steps at most; fewer where a minimum is reached.
        optimiser: ``lbfgs`` or ``adam``.
        history: see :data:`HISTORY`.
        on_iteration: called with the number of steps done (0, the start, to ``iterations``), the losses there and
            the picture, which is 0..255 and must be copied to be kept; true ends the work. The losses are those of
            that very picture: a step that went uphill shows as one before it is taken back.

    Returns:
        The best picture of all that were evaluated, float32, 0..255, on ``start_bchw``'s device.

    Raises:
        DivergedError: the start's loss is not finite.
        SettingsError: ``optimiser`` is unknown.
    """
    minimiser = Minimiser(objective, start_bchw, optimiser=optimiser, history=history)
    while True:
        terms = minimiser.evaluate()
        stops = on_iteration is not None and on_iteration(minimiser.iteration, terms, minimiser.picture_bchw)
        if stops or minimiser.iteration >= iterations or not minimiser.advance():
            return minimiser.best_bchw


class Minimiser:
    """The state of a minimisation between two iterations, so that it can be saved: see :func:`minimise`.

    Attributes:
        picture_bchw: the picture that is evaluated next, or was last.
        best_bchw: the picture with the lowest loss so far.
        best_loss: its total.
        iteration: steps taken.
    """

    def __init__(
        self, objective: PictureLoss, start_bchw: Tensor, *, optimiser: str = "lbfgs", history: int = HISTORY
    ) -> None:
        if optimiser not in OPTIMISERS:
            raise SettingsError(f"the optimiser {optimiser!r} is unknown; allowed: {', '.join(OPTIMISERS)}")
        self._objective = objective
        self._method: _ProjectedLBFGS | _ProjectedAdam = (
            _ProjectedLBFGS(history) if optimiser == "lbfgs" else _ProjectedAdam()
        )
        self.picture_bchw = start_bchw.detach().float().contiguous().clamp(0, _LEVELS)
        self.best_bchw = self.picture_bchw
        self.best_loss = math.inf
        self.iteration = 0
        self._loss = math.inf
        self._gradient = torch.empty(0)

    def evaluate(self) -> LossTerms:
        """The losses of the present picture.

        Raises:
            DivergedError: they are not finite at the start.
        """
        leaf = self.picture_bchw.clone().requires_grad_()
        # The VGG is in channels_last; the leaf is not, so that its gradient is as plain as the history.
        terms = self._objective(leaf.contiguous(memory_format=torch.channels_last))
        total = terms.total()
        (self._gradient,) = torch.autograd.grad(total, leaf)
        self._gradient = self._gradient.contiguous()
        self._loss = float(total.detach())
        if not math.isfinite(self._loss) and not math.isfinite(self.best_loss):
            raise DivergedError(f"the loss is {self._loss} at the start; the VGG-16 weights or a loss weight are wrong")
        if self._loss < self.best_loss:
            self.best_loss, self.best_bchw = self._loss, self.picture_bchw
        return LossTerms(*(term.detach() for term in (terms.content, terms.style, terms.tv, terms.smooth)))

    def advance(self) -> bool:
        """Take a step from the picture that was evaluated; False where there is nowhere to go."""
        following = self._method.step(self.picture_bchw, self._loss, self._gradient)
        if following is None:
            return False
        self.picture_bchw = following  # a new tensor: the best one may be the old
        self.iteration += 1
        return True

    def state(self) -> dict[str, Any]:
        """What :meth:`restore` needs to continue after :meth:`evaluate` as if nothing had happened."""
        return {
            "picture": self.picture_bchw,
            "best": self.best_bchw,
            "best_loss": self.best_loss,
            "iteration": self.iteration,
            "method": self._method.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a :meth:`state` of the same optimiser and size; :meth:`evaluate` comes next."""
        device = self.picture_bchw.device
        self.picture_bchw, self.best_bchw = state["picture"].to(device), state["best"].to(device)
        self.best_loss, self.iteration = float(state["best_loss"]), int(state["iteration"])
        self._method.restore(state["method"], device)


class _ProjectedLBFGS:
    """L-BFGS (Nocedal 1980) on the pixels that are free to move, each step cut off at 0 and 255.

    A pixel at a bound that its gradient pushes outwards is left out of the step (Bertsekas 1982). There is no line
    search, whose evaluations would cost what iterations cost: a step that goes uphill is taken back and shortened,
    and after :data:`_MAX_SHRINKS` of these the history is forgotten.

    Not torch.optim.LBFGS: its first step is less than float32 can add to a pixel at large sizes, its history does
    not know that a step was cut off, and its threshold for pairs is absolute, whatever the scale of the loss.
    """

    def __init__(self, history: int) -> None:
        self._pairs: deque[tuple[Tensor, Tensor]] = deque(maxlen=max(1, history))
        self._at: Tensor | None = None  # the last picture that was accepted, its loss, gradient and step
        self._loss = math.inf
        self._gradient = torch.empty(0)
        self._step = torch.empty(0)
        self._shrinks = 0

    def step(self, picture: Tensor, loss: float, gradient: Tensor) -> Tensor | None:
        """The next picture to evaluate, a new tensor; None at a minimum."""
        if self._at is not None and not loss <= self._loss:  # uphill, or not a number
            if self._shrinks < _MAX_SHRINKS:
                self._shrinks, self._step = self._shrinks + 1, self._step * _SHRINK
                return (self._at + self._step).clamp_(0, _LEVELS)
            if not self._pairs:
                return None  # downhill as it is, the loss does not fall: float32 ends here
            self._pairs.clear()
            picture, loss, gradient = self._at, self._loss, self._gradient
        elif self._at is not None:
            self._remember(picture - self._at, gradient - self._gradient)
        self._at, self._loss, self._gradient, self._shrinks = picture, loss, gradient, 0
        self._step = self._direction(picture, gradient)
        following = (picture + self._step).clamp_(0, _LEVELS)
        return None if torch.equal(following, picture) else following

    def _remember(self, moved: Tensor, changed: Tensor) -> None:
        curvature = float(_dot(moved, changed))
        if curvature > 1e-8 * float(moved.norm() * changed.norm()):
            self._pairs.append((moved, changed))

    def _direction(self, picture: Tensor, gradient: Tensor) -> Tensor:
        held = ((picture <= 0) & (gradient > 0)) | ((picture >= _LEVELS) & (gradient < 0))
        downhill = gradient.masked_fill(held, 0).neg_()
        if self._pairs:
            step = self._two_loops(downhill).masked_fill_(held, 0)
            if float(_dot(step, gradient)) < 0:
                return step
            self._pairs.clear()
        rms = float(downhill.norm()) / math.sqrt(downhill.numel())
        return downhill * (_FIRST_STEP / max(rms, 1e-30))

    def _two_loops(self, downhill: Tensor) -> Tensor:
        """The inverse Hessian's estimate times ``downhill``: Nocedal & Wright 2006, algorithm 7.4."""
        result = downhill.clone()
        shares = []
        for moved, changed in reversed(self._pairs):
            curvature = _dot(moved, changed)
            shares.append((_dot(moved, result) / curvature, curvature))
            result.sub_(changed * shares[-1][0])
        moved, changed = self._pairs[-1]
        result.mul_(_dot(moved, changed) / _dot(changed, changed))
        for (moved, changed), (share, curvature) in zip(self._pairs, reversed(shares), strict=True):
            result.add_(moved * (share - _dot(changed, result) / curvature))
        return result

    def state(self) -> dict[str, Any]:
        return {
            "moved": [moved for moved, _ in self._pairs],
            "changed": [changed for _, changed in self._pairs],
            "at": self._at,
            "loss": self._loss,
            "gradient": self._gradient,
            "step": self._step,
            "shrinks": self._shrinks,
        }

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        pairs = zip(state["moved"], state["changed"], strict=True)
        self._pairs.clear()
        self._pairs.extend((moved.to(device), changed.to(device)) for moved, changed in pairs)
        self._at = None if state["at"] is None else state["at"].to(device)
        self._loss, self._shrinks = float(state["loss"]), int(state["shrinks"])
        self._gradient, self._step = state["gradient"].to(device), state["step"].to(device)


class _ProjectedAdam:
    """Adam (Kingma & Ba 2015) over pixels, each step cut off at 0 and 255."""

    def __init__(self) -> None:
        self._steps = 0
        self._mean = self._square = torch.zeros(1)

    def step(self, picture: Tensor, loss: float, gradient: Tensor) -> Tensor | None:
        """The next picture to evaluate, a new tensor."""
        if not math.isfinite(loss):
            raise DivergedError(f"the loss is {loss} after {self._steps} steps of Adam; use --optimiser lbfgs")
        self._steps += 1
        device = gradient.device
        self._mean = torch.lerp(self._mean.to(device).expand_as(gradient), gradient, 1 - _ADAM_BETAS[0])
        self._square = torch.lerp(self._square.to(device).expand_as(gradient), gradient.square(), 1 - _ADAM_BETAS[1])
        mean, square = (
            moment / (1 - beta**self._steps)
            for moment, beta in zip((self._mean, self._square), _ADAM_BETAS, strict=True)
        )
        following = picture.sub(mean.mul_(ADAM_RATE).div_(square.sqrt_().add_(1e-12))).clamp_(0, _LEVELS)
        return None if torch.equal(following, picture) else following

    def state(self) -> dict[str, Any]:
        return {"steps": self._steps, "mean": self._mean, "square": self._square}

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        self._steps = int(state["steps"])
        self._mean, self._square = state["mean"].to(device), state["square"].to(device)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.dot(a.reshape(-1), b.reshape(-1))
