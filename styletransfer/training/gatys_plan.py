"""How large the pictures of an optimisation are, and whether it fits into memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from styletransfer.core.baseline import MIN_SIDE, GatysSettings
from styletransfer.core.errors import InputError
from styletransfer.core.memory import KEEP_FREE, free_bytes
from styletransfer.core.pictures import fit_size
from styletransfer.training.optimise import HISTORY

Frame = NDArray[np.uint8]

# Bytes at the peak, measured on a CPU at 512 and 1024 pixels (benchmarks/gatys.py --memory) and rounded up: for each
# pixel of the picture, with all feature maps kept and with most computed twice; of the painting, without gradients.
_BYTES_PER_PIXEL = {"training": (3150, 1600), "gatys": (2250, 1300)}
_BYTES_PER_PAINTING_PIXEL = 850
_BYTES_PER_PIXEL_OF_A_PAIR = 24
_BYTES_FIXED = 800_000_000


@dataclass(frozen=True, eq=False)
class Commission:
    """What is to be painted.

    Attributes:
        photo_hwc: RGB uint8 ``[H, W, 3]``, at its own size.
        painting_hwc: RGB uint8 ``[H, W, 3]``, at its own size.
        settings: how; at least the photo's size must suit them.

    Raises:
        InputError: the photo is so long and thin that too little would be left of its shorter side.
    """

    photo_hwc: Frame
    painting_hwc: Frame
    settings: GatysSettings

    def __post_init__(self) -> None:
        width, height = self.photo_size(0)
        if min(width, height) < MIN_SIDE:
            raise InputError(
                f"the photo would be {width}×{height} pixels; at least {MIN_SIDE} each way are needed: "
                "choose a larger --size, or a photo that is less long and thin"
            )

    def photo_size(self, scale: int) -> tuple[int, int]:
        """Width and height of the picture at a scale, pixels."""
        height, width = self.photo_hwc.shape[:2]
        return fit_size((width, height), self.settings.sizes[scale])

    def painting_size(self, scale: int) -> tuple[int, int]:
        """Width and height of the painting at a scale, pixels."""
        height, width = self.painting_hwc.shape[:2]
        fitted = fit_size((width, height), self.settings.style_side(scale, max(width, height)))
        return max(MIN_SIDE, fitted[0]), max(MIN_SIDE, fitted[1])

    def bytes_needed(self, saves_memory: bool) -> int:
        """Estimated peak memory, in bytes: that of the scale that takes most.

        Args:
            saves_memory: as in :class:`styletransfer.training.vgg.VGGFeatures`.
        """
        pairs = HISTORY if self.settings.optimiser == "lbfgs" else 2
        each = _BYTES_PER_PIXEL[self.settings.objective][saves_memory] + pairs * _BYTES_PER_PIXEL_OF_A_PAIR
        peaks = [
            max(
                math.prod(self.photo_size(scale)) * each,
                math.prod(self.painting_size(scale)) * _BYTES_PER_PAINTING_PIXEL,
            )
            for scale in range(len(self.settings.sizes))
        ]
        return _BYTES_FIXED + self.photo_hwc.nbytes + self.painting_hwc.nbytes + max(peaks)


def free_on(device: torch.device) -> int | None:
    """Memory that may still be taken on a device, in bytes; None where nobody knows."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_bytes()


def plan_memory(commission: Commission, device: torch.device) -> tuple[int, bool]:
    """How to go about it so that it fits: the estimate in bytes, and whether to save memory by computing twice.

    Raises:
        InputError: it does not fit; the message says what would.
    """
    free, longest = free_on(device), commission.settings.sizes[-1]
    needed = commission.bytes_needed(saves_memory=False)
    if free is None or needed <= free * (1 - KEEP_FREE):
        return needed, False
    needed = commission.bytes_needed(saves_memory=True)
    if needed <= free * (1 - KEEP_FREE):
        return needed, True
    what = "the GPU" if device.type == "cuda" else "this machine"
    share = math.sqrt(max(0.0, free * (1 - KEEP_FREE) - _BYTES_FIXED) / max(1, needed - _BYTES_FIXED))
    largest = int(longest * share) // 16 * 16
    advice = f"try {largest} pixels" if largest >= 64 else "free some memory"
    other = " or --device cpu" if device.type == "cuda" else ""
    raise InputError(
        f"{longest} pixels need about {needed / 1e9:.1f} GB of memory and {what} has {free / 1e9:.1f} GB "
        f"free; {advice}{other}"
    )
