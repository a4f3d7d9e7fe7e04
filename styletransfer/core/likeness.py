"""How near one picture comes to another."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def psnr_db(result: NDArray[Any], wanted: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio of pictures of one shape, in decibels for a peak of 255; 138 where they are equal.

    Args:
        result: real numbers 0..255 of any shape.
        wanted: the same shape.
    """
    error = float(np.mean(np.square(result.astype(np.float64) - wanted)))
    return 10 * float(np.log10(255**2 / max(error, 1e-9)))
