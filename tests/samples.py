"""Pictures without copyright for the tests."""

from __future__ import annotations

import numpy as np


def make_photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """RGB uint8 ``[height, width, 3]``, the same for the same arguments."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / np.array([max(1, height), max(1, width)]).reshape(2, 1, 1)
    levels = np.stack([255 * x, 255 * y, 127 + 120 * np.sin(9 * (x + y))], axis=-1)
    levels[(x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.05] = (230, 60, 40)
    return (levels + rng.normal(0, 6, levels.shape)).clip(0, 255).astype(np.uint8)
