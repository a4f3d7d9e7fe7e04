"""The table of models/CREDITS.md, read from the cards inside the style files.

python benchmarks/credits.py                   # every shipped style
python benchmarks/credits.py mine.onnx
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from styletransfer.core import zoo
from styletransfer.core.card import ModelCard
from styletransfer.core.errors import ModelError, StyleTransferError
from styletransfer.runtime.stylizer import Stylizer

COLUMNS = ("style", "painting", "artist", "year", "network", "steps × batch", "time", "content loss", "style loss")


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
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(row(card) for card in cards)]
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
    except StyleTransferError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
