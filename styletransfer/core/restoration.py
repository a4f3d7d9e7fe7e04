"""What ``styletransfer evaluate-restore`` can be told, and the arithmetic over what it measured.

A *row* is what one model made of one photo, as it stands in the CSV file: ``set``, ``photo``, ``model``,
``training_loss`` (empty for the baseline), ``degradation``, and the measures by their names in :data:`METRICS`.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from styletransfer.core.card import TASKS
from styletransfer.core.errors import SettingsError

Row = dict[str, Any]

DEGRADATIONS = tuple(task for task in TASKS if task != "style")
MAX_SCALE = 8


@dataclass(frozen=True)
class Metric:
    """A measure.

    Attributes:
        title: as tables and axes have it.
        digits: after the point.
        is_higher_better: else lower is.
        losses: names of training losses that are this measure, or one of its kind.
        package: what must be installed for it, by its import name.
    """

    title: str
    digits: int
    is_higher_better: bool
    losses: tuple[str, ...]
    package: str | None = None


METRICS = {
    "psnr_y": Metric("PSNR Y, dB", 2, True, ("l2",)),
    "ssim_y": Metric("SSIM Y", 4, True, ("ssim", "ms_ssim", "ms_ssim_l1")),
    "psnr_rgb": Metric("PSNR RGB, dB", 2, True, ("l2",)),
    "ssim_rgb": Metric("SSIM RGB", 4, True, ("ssim", "ms_ssim", "ms_ssim_l1")),
    "stlpips": Metric("ST-LPIPS", 4, False, ("stlpips",), "stlpips_pytorch"),
    "lpips": Metric("LPIPS", 4, False, ("lpips",), "lpips"),
    "jod": Metric("ColorVideoVDP, JOD", 3, True, (), "pycvvdp"),
}
"""Measures by name."""

FIDELITY = ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb")
"""Those that need numpy alone; they are the defaults."""

COLUMNS = ("set", "photo", "model", "training_loss", "degradation")
"""Of a CSV file, before the measures."""


@dataclass(frozen=True)
class RestoreEvalSettings:
    """Settings of an evaluation, checked on construction.

    Attributes:
        task: ``sr``, ``denoise``, ``deblock`` or ``clean`` (what a webcam does).
        scale: of ``sr``; 1 for the others.
        sigma: standard deviation of the noise of ``denoise``, grey levels.
        quality: JPEG quality of ``deblock``.
        is_grey: damage and measure one grey channel, as the tables of denoising and deblocking do.
        metrics: keys of :data:`METRICS`, in the order of the table.
        seed: of the noise, and of what the webcam does.

    Raises:
        SettingsError: a value outside its range.
    """

    task: str = "sr"
    scale: int = 4
    sigma: float = 25.0
    quality: int = 10
    is_grey: bool = False
    metrics: tuple[str, ...] = FIDELITY
    seed: int = 0

    def __post_init__(self) -> None:
        if self.task not in DEGRADATIONS:
            raise SettingsError(f"the task {self.task!r} is unknown; allowed: {', '.join(DEGRADATIONS)}")
        low, high = (2, MAX_SCALE) if self.task == "sr" else (1, 1)
        if not low <= self.scale <= high:
            allowed = f"{low} to {high}" if self.task == "sr" else "1, which is the default"
            raise SettingsError(f"scale is {self.scale} for the task {self.task}; allowed: {allowed}")
        if not 0 <= self.sigma <= 255:
            raise SettingsError(f"sigma is {self.sigma}; allowed: 0 to 255 grey levels")
        if not 1 <= self.quality <= 100:
            raise SettingsError(f"quality is {self.quality}; allowed: 1 to 100")
        unknown = [name for name in self.metrics if name not in METRICS]
        if unknown or not self.metrics:
            named = ", ".join(map(repr, unknown)) or "none"
            raise SettingsError(f"the metrics have {named}; allowed: {', '.join(METRICS)}")
        if self.is_grey and self.task == "clean":
            raise SettingsError("a webcam's pictures have colours; allowed: grey with sr, denoise and deblock")
        if self.seed < 0:
            raise SettingsError(f"seed is {self.seed}; allowed: 0 and more")

    @property
    def shave(self) -> int:
        """Pixels that are left out at each side."""
        return self.scale if self.task == "sr" else 0

    @property
    def baseline(self) -> str:
        """Name of what every model is compared with: bicubic enlargement, or the damaged picture itself."""
        return "bicubic" if self.task == "sr" else "damaged"

    def describe(self) -> str:
        """The damage in a word or two: ``x4``, ``sigma 25``, ``q 10 grey``."""
        words = {"sr": f"x{self.scale}", "denoise": f"sigma {self.sigma:g}", "deblock": f"q {self.quality}"}
        return words.get(self.task, "webcam") + " grey" * self.is_grey


def is_training_loss(metric: str, training_loss: str) -> bool:
    """Whether a model was trained to be good by this very measure: ``stlpips`` after ``l1 + 0.5*stlpips``."""
    return not set(re.findall(r"[a-z][a-z0-9_]*", training_loss.lower())).isdisjoint(METRICS[metric].losses)


def summarise(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Means by set and model, in the order of their first rows.

    Only photos on which every model of the set was measured count: means over different photos cannot be compared.

    Returns:
        ``{"set", "degradation", "photos", "models": {NAME: {"training_loss", METRIC: mean, ...}}}`` of each set.
    """
    tables = []
    for of, found in _grouped(rows, lambda row: (row["set"], row["degradation"])):
        by_model = dict(_grouped(found, lambda row: row["model"]))
        common = set.intersection(*({row["photo"] for row in of_model} for of_model in by_model.values()))
        models = {}
        for name, of_model in by_model.items():
            counted = [row for row in of_model if row["photo"] in common]
            means = {
                metric: statistics.fmean(row[metric] for row in counted)
                for metric in METRICS
                if counted and all(row.get(metric) is not None for row in counted)
            }
            models[name] = {"training_loss": of_model[0]["training_loss"], **means}
        tables.append({"set": of[0], "degradation": of[1], "photos": len(common), "models": models})
    return tables


def _grouped(rows: Sequence[Row], key: Callable[[Row], Any]) -> Iterator[tuple[Any, list[Row]]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    yield from groups.items()
