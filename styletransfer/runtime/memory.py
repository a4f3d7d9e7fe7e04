"""Whether a picture fits: what a network needs for each pixel, and what the machine has left."""

from __future__ import annotations

import math

from styletransfer.core.card import ModelCard
from styletransfer.core.memory import KEEP_FREE, free_bytes

__all__ = ["FREELY_ALLOWED_PIXELS", "bytes_needed", "fits", "free_bytes", "largest_side"]

FREELY_ALLOWED_PIXELS = 4_000_000
"""Pictures up to this size are run without asking: every live frame is among them."""

# Bytes a pixel at the peak of a run on the CPU without an arena, measured with the shipped styles at 4 and 9
# million pixels (live 64: 57 and 49, plain: 52 to 82 by width and precision, Johnson's: 297 and 258) and rounded up,
# for kernels that other processors take and for the picture's own copies.
_BYTES_PER_PIXEL = {"live": 90, "plain": 110, "johnson": 380}
_BYTES_PER_PIXEL_UNKNOWN = 600  # mostly Johnson's, with float copies of the picture and less thrifty graphs


def bytes_needed(height: int, width: int, card: ModelCard | None) -> int:
    """Estimated peak memory, in bytes, of one run of a style network on a picture."""
    each = _BYTES_PER_PIXEL.get(card.architecture if card else "", _BYTES_PER_PIXEL_UNKNOWN)
    return height * width * each


def largest_side(height: int, width: int, card: ModelCard | None, free: int) -> int:
    """The longer side, in pixels, that a picture of these proportions may have in ``free`` bytes."""
    factor = math.sqrt(free * (1 - KEEP_FREE) / bytes_needed(height, width, card))
    return max(16, int(max(height, width) * min(1.0, factor)) // 16 * 16)


def fits(height: int, width: int, card: ModelCard | None, free: int | None) -> bool:
    """Whether a run fits into ``free`` bytes; True where nobody knows."""
    if free is None or height * width <= FREELY_ALLOWED_PIXELS:
        return True
    return bytes_needed(height, width, card) <= free * (1 - KEEP_FREE)
