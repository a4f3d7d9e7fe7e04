"""What ``styletransfer evaluate`` can be told, and the arithmetic over what it measured.

An *entry* is what was measured on one photo at one size, as it stands in the JSON file::

    {"size": 256, "photo": "a.jpg", "pixels": "<hash>",
     "untouched": {"content": 0.0, "style": ..., "tv": ..., "total": ...},
     "models": {NAME: {"file": "<hash>", "content": ..., ..., "total": ..., "seconds": ..., "artefacts": {...}}},
     "optimisation": {START: {"best": [...], "at": {"10": {"content": ..., ...}}, "iterations": 300, "seconds": ...,
                              "is_done": true}}}

``best[i]`` is the lowest total objective within the first i iterations, ``best[0]`` that of the start.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from styletransfer.core.errors import SettingsError

CHECKPOINTS = (10, 25, 50, 100, 200, 300, 500)
"""Iterations after which the optimisation's value is stated, up to the number asked for."""

PAPERS_ITERATIONS = 300
"""What the network's time is compared with; beyond, the objective hardly falls any more."""

TERMS = ("content", "style", "tv", "total")

OBJECTIVES = {
    "training": "the one that networks are trained with here",
    "johnson": "content 1 + 5·Σ D + 1e-6·TV, without the painting's scale and the balance of layers",
}
"""Objectives by name; ``training.losses.Objective`` has the formula."""

STARTS = ("noise", "photo")
MIN_SIDE, MAX_SIDE = 64, 4096
MIN_STYLE_SIDE = 32

Entry = dict[str, Any]


@dataclass(frozen=True)
class EvaluateSettings:
    """Settings of an evaluation, checked on construction.

    Attributes:
        sizes: sides of the squares that are cut out of the photos, pixels.
        counts: photos at each size; one number stands for all.
        checkpoints: iterations at which the optimisation's value is stated, ascending; the last is where it ends.
            Empty: no optimisation.
        starts: what the optimisation starts from, each in turn: ``noise``, ``photo``.
        objective: a key of :data:`OBJECTIVES`.
        style_size: longer side of the painting, pixels.
        stop_when_passed: end an optimisation at the first checkpoint at which it is below every model.
        seed: of the noise.

    Raises:
        SettingsError: a value outside its range, named with what is allowed.
    """

    sizes: tuple[int, ...] = (256,)
    counts: tuple[int, ...] = (20,)
    checkpoints: tuple[int, ...] = (10, 25, 50, 100, 200, 300)
    starts: tuple[str, ...] = STARTS
    objective: str = "training"
    style_size: int = 384
    stop_when_passed: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        _check_list("--sizes", self.sizes, MIN_SIDE, MAX_SIDE)
        _check_list("--count", self.counts, 1, 100_000, may_repeat=True)
        if len(self.counts) not in (1, len(self.sizes)):
            raise SettingsError(
                f"--count has {len(self.counts)} numbers for {len(self.sizes)} sizes; give one, or one each"
            )
        if self.checkpoints:
            _check_list("--iterations", self.checkpoints, 1, 100_000)
            if list(self.checkpoints) != sorted(self.checkpoints):
                raise SettingsError("--iterations: each number has to be larger than the one before")
        for start in self.starts:
            if start not in STARTS:
                raise SettingsError(f"--start is {start!r}; allowed: {', '.join(STARTS)}, or both with a comma between")
        if not self.starts or len(set(self.starts)) < len(self.starts):
            raise SettingsError(f"--start: name each at most once of {', '.join(STARTS)}")
        if self.objective not in OBJECTIVES:
            raise SettingsError(f"--objective is {self.objective!r}; allowed: {', '.join(OBJECTIVES)}")
        _check_list("--style-size", (self.style_size,), MIN_STYLE_SIDE, MAX_SIDE)
        _check_list("--seed", (self.seed,), 0, 2**31 - 1)

    @property
    def iterations(self) -> int:
        """Iterations of each optimisation; 0 for none."""
        return self.checkpoints[-1] if self.checkpoints else 0

    def count(self, size: int) -> int:
        """Photos at ``size``."""
        return self.counts[self.sizes.index(size)] if len(self.counts) > 1 else self.counts[0]

    def baseline(self) -> dict[str, Any]:
        """What an optimisation's values depend on besides the photo and the painting."""
        return {"objective": self.objective, "style_size": self.style_size, "seed": self.seed}


def checkpoints_to(iterations: int) -> tuple[int, ...]:
    """The usual checkpoints up to a number of iterations, and that number itself; none for 0."""
    return tuple(sorted({*(usual for usual in CHECKPOINTS if usual < iterations), iterations} - {0}))


def equal_iterations(best: Sequence[float], value: float) -> float:
    """After how many iterations an optimisation is as low as ``value``; linear between two.

    Args:
        best: lowest objective within the first 0, 1, 2, ... iterations.
        value: a network's objective.

    Returns:
        0 where the start is as low already, infinity where the optimisation never gets there.
    """
    for after, low in enumerate(best):
        if low <= value:
            if after == 0:
                return 0.0
            before = best[after - 1]
            return after - 1 + (before - value) / (before - low)
    return math.inf


def describe_equal(values: Sequence[float], iterations: int) -> str:
    """The median of :func:`equal_iterations` as it is printed: ``63``, ``< 1`` or ``> 300``."""
    median = statistics.median(values)
    if math.isinf(median):
        return f"> {iterations}"
    return "< 1" if median < 1 else f"{median:.0f}"


def short(value: float) -> str:
    """An objective as it is printed: whole above a thousand, else four digits."""
    return f"{value:,.0f}" if value == 0 or value >= 1000 else f"{value:.4g}"


def is_enough(optimisation: dict[str, Any] | None, settings: EvaluateSettings, totals: Sequence[float]) -> bool:
    """Whether an optimisation that was run before says all that is asked now.

    Args:
        optimisation: of one start, or None.
        settings: what is asked.
        totals: the models' total objectives on this photo.
    """
    if optimisation is None:
        return False
    reached = [asked for asked in settings.checkpoints if asked <= optimisation["iterations"]]
    if not all(str(checkpoint) in optimisation["at"] for checkpoint in reached):
        return False
    if optimisation["is_done"] or optimisation["iterations"] >= settings.iterations:
        return True
    return settings.stop_when_passed and has_passed(optimisation["best"], settings.checkpoints, totals)


def has_passed(best: Sequence[float], checkpoints: Sequence[int], totals: Sequence[float]) -> bool:
    """Whether a curve ends at a checkpoint or later and is below every model."""
    return len(best) - 1 >= checkpoints[0] and bool(totals) and best[-1] < min(totals)


def summarise(entries: Sequence[Entry], models: Sequence[str], settings: EvaluateSettings) -> list[dict[str, Any]]:
    """What the entries of each size come to.

    Args:
        entries: finished or not; what is missing is left out.
        models: names, in the order of the table.
        settings: of the evaluation.

    Returns:
        A dict a size: ``size``, ``photos``, ``untouched`` (mean terms), ``models`` (name to mean terms, ``share`` of
        the untouched total, median ``seconds``, ``equals`` by start, ``artefacts`` with mean and worst) and
        ``optimisation`` (start to mean terms by checkpoint, each with its number of photos, ``seconds_each`` and
        ``seconds``, those of 300 iterations, with ``is_extrapolated``).
    """
    result = []
    for size in settings.sizes:
        here = [
            entry
            for entry in entries
            if entry["size"] == size and "untouched" in entry and entry["models"].keys() >= set(models)
        ]
        if not here:
            continue
        untouched = _mean_terms([entry["untouched"] for entry in here])
        optimisation = {
            start: _optimisation(
                [entry["optimisation"][start] for entry in here if start in entry["optimisation"]], settings
            )
            for start in settings.starts
        }
        optimisation = {start: figures for start, figures in optimisation.items() if figures}
        result.append(
            {
                "size": size,
                "photos": len(here),
                "untouched": untouched,
                "models": {name: _model(here, name, untouched["total"], optimisation) for name in models},
                "optimisation": optimisation,
            }
        )
    return result


def _model(entries: Sequence[Entry], name: str, untouched: float, optimisation: dict[str, Any]) -> dict[str, Any]:
    own = [entry["models"][name] for entry in entries]
    means: dict[str, Any] = _mean_terms(own)
    means["share"] = means["total"] / untouched
    means["seconds"] = statistics.median(figures["seconds"] for figures in own)
    means["equals"] = {}
    for start, figures in optimisation.items():
        curves = [
            (entry["optimisation"][start]["best"], entry["models"][name])
            for entry in entries
            if start in entry["optimisation"]
        ]
        values = [equal_iterations(best, terms["total"]) for best, terms in curves]
        never = [len(best) - 1 for (best, _), value in zip(curves, values, strict=True) if math.isinf(value)]
        median = statistics.median(values)
        means["equals"][start] = {
            "median": None if math.isinf(median) else round(median, 2),
            "text": describe_equal(values, min(never, default=0)),
            "photos": [None if math.isinf(value) else round(value, 2) for value in values],
            "times_faster": figures["seconds"] / means["seconds"],
        }
    names = own[0]["artefacts"]
    means["artefacts"] = {
        measure: {
            "mean": statistics.fmean(figures["artefacts"][measure] for figures in own),
            "lowest": min(figures["artefacts"][measure] for figures in own),
            "highest": max(figures["artefacts"][measure] for figures in own),
        }
        for measure in names
    }
    return means


def _optimisation(runs: Sequence[dict[str, Any]], settings: EvaluateSettings) -> dict[str, Any]:
    if not runs:
        return {}
    at = {}
    for checkpoint in settings.checkpoints:
        terms = [run["at"][str(checkpoint)] for run in runs if str(checkpoint) in run["at"]]
        if terms:
            at[str(checkpoint)] = {**_mean_terms(terms), "photos": len(terms)}
    each = statistics.median(run["seconds"] / max(1, run["iterations"]) for run in runs)
    return {
        "at": at,
        "seconds_each": each,
        "seconds": PAPERS_ITERATIONS * each,
        "is_extrapolated": min(run["iterations"] for run in runs) < PAPERS_ITERATIONS,
    }


def _mean_terms(terms: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.fmean(each[name] for each in terms) for name in TERMS}


def _check_list(name: str, values: Sequence[int], low: int, high: int, may_repeat: bool = False) -> None:
    if not values:
        raise SettingsError(f"{name} is empty; give a number, or several with commas between")
    for value in values:
        if not low <= value <= high:
            raise SettingsError(f"{name}: {value} is outside {low} to {high}")
    if not may_repeat and len(set(values)) < len(values):
        raise SettingsError(f"{name}: {', '.join(map(str, values))} names one of them twice")
