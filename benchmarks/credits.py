"""The tables of models/CREDITS.md, read from the cards inside the files.

python benchmarks/credits.py                   # every shipped style and restoring network
python benchmarks/credits.py mine.onnx         # styles
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from styletransfer.core import zoo
from styletransfer.core.card import ModelCard
from styletransfer.core.errors import ModelError, StyleTransferError
from styletransfer.runtime.restorer import Restorer
from styletransfer.runtime.stylizer import Stylizer

COLUMNS = ("style", "painting", "artist", "year", "network", "steps × batch", "time", "content loss", "style loss")

RESTORER_COLUMNS = ("network", "task", "kind", "steps × batch", "time", "loss")


def row(card: ModelCard) -> tuple[str, ...]:
    """One style's cells, in the order of :data:`COLUMNS`."""
    painting, training, losses = card.painting, card.training, card.losses
    return (
        f"`{card.name}`",
        painting.title,
        painting.artist,
        painting.year,
        f"`{card.architecture}` {card.channels}",
        f"{training['steps_done']:,} × {training['batch']}",
        f"{training['seconds']:.0f} s",
        f"{losses['content']:,.0f}",
        f"{losses['style']:,.0f}",
    )


def table(paths: list[Path]) -> str:
    """A Markdown table of the style files, and the hardware that they were trained on.

    Raises:
        ModelError: a file has no card.
    """
    cards = []
    for path in paths:
        card = Stylizer(path, provider="cpu").card
        if card is None:
            raise ModelError(f"{path}: has no card, so it was not trained by styletransfer; leave it out")
        cards.append(card)
    return _markdown([COLUMNS, *(row(card) for card in cards)], cards)


def restorer_row(card: ModelCard) -> tuple[str, ...]:
    """One restoring network's cells, in the order of :data:`RESTORER_COLUMNS`."""
    training = card.training
    return (
        f"`{card.name}`",
        card.task if card.scale == 1 else f"{card.task} ×{card.scale}",
        f"`{card.architecture}` {training['layers'] or 'standard'} × {card.channels}",
        f"{training['steps_done']:,} × {training['batch']}",
        f"{training['seconds']:.0f} s",
        f"{training['loss']}",
    )


def restorers_table(paths: list[Path]) -> str:
    """The same of restoring networks, which all have cards."""
    cards = [Restorer(path, provider="cpu").card for path in paths]
    return _markdown([RESTORER_COLUMNS, *(restorer_row(card) for card in cards)], cards)


def _markdown(rows: list[tuple[str, ...]], cards: list[ModelCard]) -> str:
    lines = [rows[0], ("---",) * len(rows[0]), *rows[1:]]
    devices = sorted({str(card.training["device"]) for card in cards})
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + f"\n\nTrained on: {', '.join(devices)}."


def main() -> int:
    """Print the table, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="style names or .onnx files (default: every shipped style)")
    arguments = parser.parse_args()
    try:
        paths = [zoo.resolve(name) for name in arguments.models] or list(zoo.shipped().values())
        print(table(paths))
        if not arguments.models:
            print()
            print(restorers_table(list(zoo.shipped_restorers().values())))
    except StyleTransferError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
