"""Where a training keeps what it makes beside its file."""

from __future__ import annotations

from pathlib import Path

LOG_NAME = "log.jsonl"
"""The log in a training's folder, a line a step."""

TRAINING_SUFFIX = ".training"


def work_of(out: Path) -> Path:
    """The folder of the training of ``out``: checkpoints, previews, the log."""
    return out.with_suffix(TRAINING_SUFFIX)


def sheet_of(out: Path) -> Path:
    """Its contact sheet."""
    return out.with_name(f"{out.stem}-sheet.png")


def curves_of(out: Path) -> Path:
    """Its loss curves."""
    return out.with_name(f"{out.stem}-losses.png")
