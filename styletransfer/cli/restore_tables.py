"""The tables of ``styletransfer evaluate-restore``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from styletransfer.cli.common import prints_to_terminal
from styletransfer.core.restoration import METRICS, is_training_loss

if TYPE_CHECKING:
    from rich.table import Table

_WIDTH = 150  # where no terminal sets another: a table that is folded cannot be read


def print_tables(summary: Sequence[dict[str, Any]], skipped: Mapping[str, int]) -> None:
    """Print what :func:`~styletransfer.core.restoration.summarise` made, one table a set, to stdout.

    Args:
        summary: the means.
        skipped: how many photos of a set could not be read.
    """
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False, markup=False, width=None if prints_to_terminal() else _WIDTH)
    has_marks = False
    for table in summary:
        photos = f"{table['photos']} photo" + "s" * (table["photos"] != 1)
        left_out = f", {skipped[table['set']]} left out" if skipped.get(table["set"]) else ""
        console.print(f"\n{table['set']}, {table['degradation']}, {photos}{left_out} (means)")
        console.print(_table(table["models"]))
        has_marks |= any(
            is_training_loss(metric, model["training_loss"])
            for model in table["models"].values()
            for metric in _measured(table["models"])
        )
    if has_marks:
        console.print("\n* the model was trained by this measure or one of its kind", soft_wrap=True)


def as_markdown(summary: Sequence[dict[str, Any]]) -> str:
    """The same tables for a page of documentation."""
    parts = []
    for table in summary:
        metrics = _measured(table["models"])
        rows = [["", *(_title(metric) for metric in metrics)], ["---", *("---:" for _ in metrics)]]
        rows += [
            [name, *(_cell(model, metric).strip() for metric in metrics)] for name, model in table["models"].items()
        ]
        photos = f"{table['photos']} photo" + "s" * (table["photos"] != 1)
        lines = [f"| {' | '.join(row)} |" for row in rows]
        parts.append("\n".join([f"**{table['set']}**, {table['degradation']}, {photos}", "", *lines]))
    return "\n\n".join(parts) + "\n"


def _table(models: Mapping[str, dict[str, Any]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("", no_wrap=True)
    metrics = _measured(models)
    for metric in metrics:
        table.add_column(_title(metric), justify="right", no_wrap=True)
    for name, model in models.items():
        table.add_row(name, *(_cell(model, metric) for metric in metrics))
    return table


def _measured(models: Mapping[str, dict[str, Any]]) -> list[str]:
    return [metric for metric in METRICS if any(metric in model for model in models.values())]


def _title(metric: str) -> str:
    return f"{METRICS[metric].title} {'↑' if METRICS[metric].is_higher_better else '↓'}"


def _cell(model: Mapping[str, Any], metric: str) -> str:
    if metric not in model:
        return "- "
    mark = "*" if is_training_loss(metric, model["training_loss"]) else " "
    return f"{model[metric]:.{METRICS[metric].digits}f}{mark}"
