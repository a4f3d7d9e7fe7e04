"""The tables of ``styletransfer evaluate``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from styletransfer.cli.common import prints_to_terminal
from styletransfer.core.yardstick import PAPERS_ITERATIONS, TERMS, EvaluateSettings, short

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDTH = 150  # where no terminal sets another: a table that is folded cannot be read


def print_standings(summary: Sequence[dict[str, Any]], settings: EvaluateSettings) -> None:
    """Print what :func:`~styletransfer.core.yardstick.summarise` made, two tables a size, to stdout."""
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False, markup=False, width=None if prints_to_terminal() else _WIDTH)
    for figures in summary:
        photos = f"{figures['photos']} photo" + "s" * (figures["photos"] != 1)
        console.print(f"\n{figures['size']} × {figures['size']}, {photos}, {settings.objective} objective (means)")
        console.print(_objectives(figures))
        for start, run in figures["optimisation"].items():
            how = "extrapolated from fewer" if run["is_extrapolated"] else "measured"
            console.print(
                f"{PAPERS_ITERATIONS} iterations from {start}: {run['seconds']:,.4g} s ({how}, "
                f"{run['seconds_each']:.3g} s each)"
            )
        console.print(_artefacts(figures))
        _print_verdicts(console, figures)


def _objectives(figures: dict[str, Any]) -> Table:
    table = _table("", "content", "style", "tv", "total", "share")
    starts = list(figures["optimisation"])
    for start in starts:
        table.add_column(f"= iterations\nfrom {start}", justify="right", no_wrap=True)
    table.add_column("ms a\npicture", justify="right", no_wrap=True)
    if starts:
        table.add_column("times\nfaster", justify="right", no_wrap=True)
    untouched = figures["untouched"]["total"]
    table.add_row("untouched photo", *_terms(figures["untouched"], untouched))
    for name, model in figures["models"].items():
        equals = [model["equals"][start]["text"] for start in starts]
        table.add_row(
            name, *_terms(model, untouched), *equals, f"{1000 * model['seconds']:.1f}", *_times_faster(figures, model)
        )
    for start in starts:
        table.add_section()
        for checkpoint, terms in figures["optimisation"][start]["at"].items():
            some = "" if terms["photos"] == figures["photos"] else f" ({terms['photos']} photos)"
            table.add_row(f"from {start}, after {checkpoint}{some}", *_terms(terms, untouched))
    return table


def _times_faster(figures: dict[str, Any], model: dict[str, Any]) -> list[str]:
    """By the start that was measured further, the two being equal but for noise; ~ where it is extrapolated."""
    ratios = [
        (figures["optimisation"][start]["is_extrapolated"], equal["times_faster"])
        for start, equal in model["equals"].items()
    ]
    return [f"{'~' * is_extrapolated}{ratio:,.0f}" for is_extrapolated, ratio in sorted(ratios)[:1]]


def _artefacts(figures: dict[str, Any]) -> Table:
    from styletransfer.core.artefacts import LIMITS

    table = _table("mean (worst)", *(f"{name}\n{limit}" for name, limit in LIMITS.items()))
    for name, model in figures["models"].items():
        cells = []
        for key, limit in LIMITS.items():
            found = model["artefacts"][key]
            worst = found["lowest"] if limit.is_floor else found["highest"]
            mark = "" if limit.holds(found["mean"]) else " !"
            cells.append(f"{found['mean']:.2f} ({worst:.2f}){mark}")
        table.add_row(name, *cells)
    return table


def _print_verdicts(console: Console, figures: dict[str, Any]) -> None:
    from styletransfer.core.artefacts import LIMITS

    beyond = [
        f"{name}: {key} is {model['artefacts'][key]['mean']:.2f}, its limit {limit} ({limit.origin})"
        for name, model in figures["models"].items()
        for key, limit in LIMITS.items()
        if not limit.holds(model["artefacts"][key]["mean"])
    ]
    console.print("\n".join(beyond) if beyond else "every measure is within its limit", soft_wrap=True)


def _table(first: str, *others: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(first, no_wrap=True)
    for title in others:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _terms(terms: dict[str, Any], untouched: float) -> list[str]:
    return [
        *(short(terms[name]) for name in TERMS),
        f"{terms['total'] / untouched:.2%}",
    ]
