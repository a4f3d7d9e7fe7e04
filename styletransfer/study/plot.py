"""The plot of a study's scale: conditions by score, with error bars."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from styletransfer.core.errors import MissingExtraError
from styletransfer.core.files import atomic_path
from styletransfer.study.scaling import Scale


def save_plot(overall: Scale, scenes: Mapping[str, Scale], caption: str, path: Path) -> None:
    """Draw the scale over all scenes with its intervals, and each scene's scores as small grey marks.

    Args:
        overall: of the votes of all scenes.
        scenes: name to scale; a condition that a scene has not is left out there.
        caption: below the axis.
        path: a file that matplotlib writes (.png, .svg, .pdf).

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingExtraError("matplotlib", "study", "draw the plot") from error
    mpl.use("Agg")
    from matplotlib import pyplot

    order = [overall.conditions[n] for n in np.argsort(overall.jnd_n)]
    figure, axes = pyplot.subplots(figsize=(7.5, 1.6 + 0.42 * len(order)), layout="constrained")
    if len(scenes) > 1:
        _draw_scenes(axes, order, scenes)
    rows = [order.index(condition) for condition in overall.conditions]
    errors = None
    if overall.low_n is not None and overall.high_n is not None:
        # A percentile interval need not hold the estimate; a bar cannot be negative.
        errors = np.maximum(0, [overall.jnd_n - overall.low_n, overall.high_n - overall.jnd_n])
    axes.errorbar(overall.jnd_n, rows, xerr=errors, fmt="o", color="#1f5fa8", ms=7, capsize=4, lw=2, label="all scenes")
    axes.set_yticks(range(len(order)), order)
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.axvline(0, color="#888888", lw=0.8, zorder=0)
    axes.grid(axis="x", color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"score, JND (1 JND: 75 % choose the better one)\n{caption}")
    if len(scenes) > 1:
        figure.legend(loc="outside upper right", ncols=2, frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)
    pyplot.close(figure)


def _draw_scenes(axes: Any, order: list[str], scenes: Mapping[str, Scale]) -> None:
    points = [
        (score, order.index(condition))
        for made in scenes.values()
        for condition, score in zip(made.conditions, made.jnd_n, strict=True)
    ]
    scores, rows = zip(*points, strict=True)
    # A little below the row, or they would hide in the mark of all scenes.
    axes.plot(scores, np.array(rows) - 0.2, "|", color="#777777", ms=8, label="each scene")
