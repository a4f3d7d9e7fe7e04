"""The plot of an evaluation: objective against iterations, with the networks as lines (Johnson et al. 2016, fig. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from styletransfer.core.errors import MissingExtraError
from styletransfer.core.files import atomic_path
from styletransfer.core.yardstick import Entry

_COLOURS = {"noise": "#4c78a8", "photo": "#2a9d5c"}


def save_curves(entries: Sequence[Entry], summary: Sequence[dict[str, Any]], title: str, path: Path) -> None:
    """Draw one panel a size: the optimisation's mean best-so-far curves, the models' and the photo's means as lines.

    The shade spans the middle half of the photos. Where optimisations ended at different iterations, the curves end
    with the first of them that was ended before it was done.

    Args:
        entries: those that the summary was made of.
        summary: of :func:`styletransfer.core.yardstick.summarise`.
        title: above the panels.
        path: a file that matplotlib writes (.png, .svg, .pdf).

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingExtraError("matplotlib", "train", "draw the plot") from error
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, rows = pyplot.subplots(
        1, max(1, len(summary)), figsize=(1.5 + 5.5 * max(1, len(summary)), 5), layout="constrained", squeeze=False
    )
    for axes, figures in zip(rows[0], summary, strict=False):
        _panel(axes, [entry for entry in entries if entry["size"] == figures["size"]], figures)
    figure.suptitle(title)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)
    pyplot.close(figure)


def _panel(axes: Any, entries: Sequence[Entry], figures: dict[str, Any]) -> None:
    for start in figures["optimisation"]:
        curves = _stacked([entry["optimisation"][start] for entry in entries if start in entry["optimisation"]])
        iterations = np.arange(curves.shape[1])
        axes.plot(iterations, curves.mean(0), color=_COLOURS[start], lw=2, label=f"optimisation from {start}")
        low, high = np.percentile(curves, (25, 75), axis=0)
        axes.fill_between(iterations, low, high, color=_COLOURS[start], alpha=0.15, lw=0)
    axes.axhline(figures["untouched"]["total"], color="#666666", ls=":", label="untouched photo")
    reds = np.linspace(0, 0.75, max(2, len(figures["models"])))
    for shade, (name, model) in zip(reds, figures["models"].items(), strict=False):
        equals = ", ".join(f"{start} {equal['text']}" for start, equal in model["equals"].items())
        label = f"{name} ({equals})" if equals else name
        axes.axhline(model["total"], color=(0.85, 0.15 + 0.8 * shade, 0.15), ls="--", lw=1.6, label=label)
    photos = f"{figures['photos']} photo" + "s" * (figures["photos"] != 1)
    axes.set(
        yscale="log",
        xlabel="iterations of L-BFGS" if figures["optimisation"] else "",
        ylabel="objective",
        title=f"{figures['size']} × {figures['size']}, {photos}",
    )
    axes.margins(x=0.01)
    axes.grid(alpha=0.3, which="both", lw=0.5)
    axes.legend(fontsize=8)


def _stacked(runs: Sequence[dict[str, Any]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The curves, ``[photos, iterations + 1]``: one that was done goes on flat, the others end together."""
    longest = max(len(run["best"]) for run in runs)
    length = min((len(run["best"]) for run in runs if not run["is_done"]), default=longest)
    return np.array([(run["best"] + [run["best"][-1]] * longest)[:length] for run in runs], dtype=np.float64)
