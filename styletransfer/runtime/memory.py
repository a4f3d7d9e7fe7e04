"""Whether a picture fits: what a network needs for each pixel, and what the machine has left."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

from styletransfer.core.card import ModelCard

FREELY_ALLOWED_PIXELS = 4_000_000
"""Pictures up to this size are run without asking: every live frame is among them."""

# Bytes a pixel at the peak of a run on the CPU without an arena, measured with the shipped styles at 4 and 9
# million pixels (live 64: 57 and 49, Johnson's: 297 and 258) and rounded up, for kernels that other
# processors take and for the picture's own copies.
_BYTES_PER_PIXEL = {"live": 90, "johnson": 380}
_BYTES_PER_PIXEL_UNKNOWN = 600  # mostly Johnson's, with float copies of the picture and less thrifty graphs
_KEEP_FREE = 0.1  # of what is free, for everything else


def bytes_needed(height: int, width: int, card: ModelCard | None) -> int:
    """Estimated peak memory, in bytes, of one run of a style network on a picture."""
    each = _BYTES_PER_PIXEL.get(card.architecture if card else "", _BYTES_PER_PIXEL_UNKNOWN)
    return height * width * each


def largest_side(height: int, width: int, card: ModelCard | None, free: int) -> int:
    """The longer side, in pixels, that a picture of these proportions may have in ``free`` bytes."""
    factor = math.sqrt(free * (1 - _KEEP_FREE) / bytes_needed(height, width, card))
    return max(16, int(max(height, width) * min(1.0, factor)) // 16 * 16)


def fits(height: int, width: int, card: ModelCard | None, free: int | None) -> bool:
    """Whether a run fits into ``free`` bytes; True where nobody knows."""
    if free is None or height * width <= FREELY_ALLOWED_PIXELS:
        return True
    return bytes_needed(height, width, card) <= free * (1 - _KEEP_FREE)


def free_bytes() -> int | None:
    """Memory that this process may still take, in bytes (a container's limit counts), or None if unknown."""
    amounts = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        amounts += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    with contextlib.suppress(OSError, ValueError, KeyError):
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())  # "max", where nothing limits it, is a ValueError
        used = int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        amounts.append(max(0, limit - used + int(stat["inactive_file"])))  # caches give way
    if not amounts:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # macOS: half of what is built in
            amounts.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    return min(amounts, default=None)
