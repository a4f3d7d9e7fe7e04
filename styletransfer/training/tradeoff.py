"""The perception–distortion plot of an evaluation (Blau, Michaeli: The Perception-Distortion Tradeoff. CVPR 2018)."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from styletransfer.core.errors import MissingExtraError, SettingsError
from styletransfer.core.files import atomic_path
from styletransfer.core.restoration import METRICS, is_training_loss

DISTORTIONS = ("psnr_y", "psnr_rgb", "ssim_y", "ssim_rgb")
QUALITIES = ("jod", "stlpips", "lpips")
"""Measures of each axis; the first one that was measured is drawn."""

_MARKERS = "osD^vPX<>*"


def check_axes(measured: Collection[str], axes: Sequence[str] = ()) -> tuple[str, str]:
    """The measures of distortion and of quality to draw: those asked for, or the first that was measured.

    Args:
        measured: what every model has.
        axes: two of them, or none.

    Raises:
        SettingsError: they were not measured.
        MissingExtraError: matplotlib is not installed.
    """
    if not importlib.util.find_spec("matplotlib"):
        raise MissingExtraError("matplotlib", "train", "draw the plot")
    if axes and (len(axes) != 2 or not set(axes) <= set(measured)):
        there = ", ".join(name for name in METRICS if name in measured)
        raise SettingsError(f"the axes are {','.join(axes)}; allowed: two of what every model has: {there}")
    chosen = [*axes] or [next((n for n in names if n in measured), "") for names in (DISTORTIONS, QUALITIES)]
    if not all(chosen):
        raise SettingsError(
            f"the plot needs one of {', '.join(DISTORTIONS)} and one of {', '.join(QUALITIES)}; measure them "
            "with --metrics, or name two others with --axes"
        )
    return chosen[0], chosen[1]


def save_tradeoff(summary: Sequence[dict[str, Any]], path: Path, axes: Sequence[str] = ()) -> None:
    """Draw distortion against quality, one panel a set, one point a model.

    The axes run so that the lower left corner is the best there is: low distortion at the left, good quality at the
    bottom, whichever way the measures themselves run. A hollow point with a * was trained by one of the two measures.

    Args:
        summary: of :func:`styletransfer.core.restoration.summarise`.
        path: a file that matplotlib writes (.png, .svg, .pdf).
        axes: the measures along x and y; by default the first of :data:`DISTORTIONS` and :data:`QUALITIES`.

    Raises:
        MissingExtraError: matplotlib is not installed.
        SettingsError: the measures are not there.
        OutputError: the file cannot be written.
    """
    models = [set(model) for table in summary for model in table["models"].values()]
    chosen = check_axes(set.intersection(*models) & set(METRICS), axes)
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, rows = pyplot.subplots(
        1, len(summary), figsize=(3 + 4.5 * len(summary), 4.5), layout="constrained", squeeze=False
    )
    names = list(dict.fromkeys(name for table in summary for name in table["models"]))
    looks = {
        name: {"color": pyplot.get_cmap("tab10")(n % 10), "marker": _MARKERS[n % len(_MARKERS)]}
        for n, name in enumerate(names)
    }
    for panel, table in zip(rows[0], summary, strict=True):
        _panel(panel, table, chosen, looks)
    handles = {
        label: handle for panel in rows[0] for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside right upper", fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)
    pyplot.close(figure)


def _panel(panel: Any, table: dict[str, Any], axes: tuple[str, str], looks: dict[str, dict[str, Any]]) -> None:
    for name, model in table["models"].items():
        is_own = any(is_training_loss(axis, model["training_loss"]) for axis in axes)
        look = {**looks[name], "markerfacecolor": "white"} if is_own else looks[name]
        x, y = (model[axis] for axis in axes)
        panel.plot([x], [y], linestyle="", markersize=8, markeredgewidth=2, label=name + "*" * is_own, **look)
    x, y = (METRICS[axis] for axis in axes)
    panel.margins(0.12)
    if x.is_higher_better:
        panel.invert_xaxis()
    if y.is_higher_better:
        panel.invert_yaxis()
    photos = f"{table['photos']} photo" + "s" * (table["photos"] != 1)
    panel.set(
        xlabel=f"← less distortion    ({x.title})",
        ylabel=f"← better quality    ({y.title})",
        title=f"{table['set']}, {table['degradation']}, {photos}",
    )
    panel.grid(alpha=0.3, lw=0.5)
