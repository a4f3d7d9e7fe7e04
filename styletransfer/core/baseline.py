"""What the optimisation of one picture (``styletransfer gatys``) can be told."""

from __future__ import annotations

import math
from dataclasses import dataclass

from styletransfer.core.errors import SettingsError


@dataclass(frozen=True)
class Weights:
    """Weights of an objective's terms.

    Attributes:
        content, style, tv: of the photo's content, the painting's style and total variation.
    """

    content: float
    style: float
    tv: float


OBJECTIVES = {"training": Weights(1.0, 5.0, 1e-6), "gatys": Weights(1.0, 1e6, 0.0)}
"""Objectives by name, with the weights that they take unless told otherwise.

``training`` is what feed-forward networks are trained with here, ``gatys`` has the paper's layers.
"""

STARTS = ("photo", "noise")
OPTIMISERS = ("lbfgs", "adam")

MIN_SIDE, MAX_SIDE = 16, 8192
"""Pixels: below, nothing is left of a picture in the loss network's last layer."""

_LATER_SCALES = 0.5
"""Iterations at a scale, as a share of those before: it only refines what it starts from."""


@dataclass(frozen=True)
class GatysSettings:
    """Settings of one optimisation, checked on construction.

    Attributes:
        sizes: longer side of the picture at each scale, pixels, ascending; each scale starts from the one before.
        iterations: at each scale; where fewer are given than scales, each further one takes half as many.
        objective: a key of :data:`OBJECTIVES`.
        start: ``photo``, or ``noise`` as in the paper.
        optimiser: ``lbfgs``, as in the paper, or ``adam``.
        style_size: longer side of the painting at the first scale, pixels; at the others it grows along.
        content_weight, style_weight, tv_weight: None for the objective's own.
        match_colors: give the painting the photo's colours first.
        seed: of the noise.

    Raises:
        SettingsError: a value outside its range, named with what is allowed.
    """

    sizes: tuple[int, ...] = (512,)
    iterations: tuple[int, ...] = (300,)
    objective: str = "training"
    start: str = "photo"
    optimiser: str = "lbfgs"
    style_size: int = 384
    content_weight: float | None = None
    style_weight: float | None = None
    tv_weight: float | None = None
    match_colors: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (("objective", OBJECTIVES), ("start", STARTS), ("optimiser", OPTIMISERS)):
            if getattr(self, name) not in allowed:
                raise SettingsError(f"the {name} {getattr(self, name)!r} is unknown; allowed: {', '.join(allowed)}")
        if not self.sizes or list(self.sizes) != sorted(set(self.sizes)):
            raise SettingsError(f"sizes are {_listed(self.sizes)}; each has to be larger than the one before")
        for size in self.sizes:
            _check("size", size, MIN_SIDE, MAX_SIDE)
        if not 1 <= len(self.iterations) <= len(self.sizes):
            raise SettingsError(f"iterations are {_listed(self.iterations)} for {len(self.sizes)} sizes; give one each")
        for count in self.iterations:
            _check("iterations", count, 1, 100_000)
        _check("style_size", self.style_size, 32, MAX_SIDE)
        for name in ("content", "style", "tv"):
            weight = getattr(self, f"{name}_weight")
            if weight is not None:
                _check(f"{name}_weight", weight, 0.0, 1e9)
        _check("seed", self.seed, 0, 2**31 - 1)

    @property
    def weights(self) -> Weights:
        """What was asked for, else the objective's own."""
        own = OBJECTIVES[self.objective]
        return Weights(
            own.content if self.content_weight is None else self.content_weight,
            own.style if self.style_weight is None else self.style_weight,
            own.tv if self.tv_weight is None else self.tv_weight,
        )

    @property
    def iterations_by_scale(self) -> tuple[int, ...]:
        """One number a scale."""
        counts = list(self.iterations)
        while len(counts) < len(self.sizes):
            counts.append(math.ceil(counts[-1] * _LATER_SCALES))
        return tuple(counts)

    def style_side(self, scale: int, longest: int) -> int:
        """Longer side of the painting at a scale, pixels; it is not enlarged for the later ones.

        Args:
            scale: index into :attr:`sizes`.
            longest: the painting's own longer side, pixels.
        """
        grown = round(self.style_size * self.sizes[scale] / self.sizes[0])
        return min(grown, max(longest, self.style_size))


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # false for NaN too
        raise SettingsError(f"{name} is {value:g}; allowed: {low:g} to {high:g}")


def _listed(values: tuple[int, ...]) -> str:
    return ",".join(map(str, values)) or "none"
