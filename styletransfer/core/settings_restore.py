"""What the training of a network that enlarges or repairs can be told; as :mod:`styletransfer.core.settings`."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from styletransfer.core.card import TASKS
from styletransfer.core.errors import SettingsError
from styletransfer.core.ranges import check_ranges, named, ranged


@dataclass(frozen=True)
class NetworkSize:
    """What a network is like where nobody says otherwise.

    Attributes:
        channels: width.
        layers: depth: convolutions of ``compact`` and ``dncnn``, residual blocks of the others.
        scales: how many times it can enlarge; 1 repairs at the same size.
        learning_rate: peak learning rate of Adam.
    """

    channels: int
    layers: int
    scales: tuple[int, ...]
    learning_rate: float


NETWORK_SIZES = {
    "compact": NetworkSize(32, 6, (1, 2, 4), 1e-3),
    "johnson": NetworkSize(64, 4, (2, 4, 8), 1e-3),
    "srresnet": NetworkSize(64, 16, (2, 4, 8), 2e-4),
    "edsr": NetworkSize(64, 16, (2, 4, 8), 2e-4),
    "edsr-full": NetworkSize(256, 32, (2, 4, 8), 1e-4),
    "dncnn": NetworkSize(64, 17, (1,), 1e-3),
}
"""Networks by name."""

RESTORE_TASKS = tuple(task for task in TASKS if task != "style")

RESTORE_STEPS = 10_000

_SIDES = {1: 64, 2: 96, 4: 192, 8: 256}  # of the patches, by scale: 48 (for 8 times 32) pixels of the small picture


@dataclass(frozen=True)
class RestoreSettings:
    """Settings of one training. Every one is checked on construction.

    Raises:
        SettingsError: a value outside its range, named with what is allowed.
    """

    task: str = named("sr", f"What to undo: {', '.join(RESTORE_TASKS)} (a webcam's noise, blur and compression).")
    scale: int = ranged(1, "How many times sr enlarges: 2, 4 or 8.", 1, 8)
    network: str = named("compact", f"Network: {', '.join(NETWORK_SIZES)}.")
    channels: int = ranged(0, "Width of the network; 0: its published one (compact: 32).", 0, 1024)
    layers: int = ranged(
        0, "3×3 convolutions of compact and dncnn, residual blocks of the others; 0: the published number.", 0, 128
    )
    stem: int = ranged(1, "2: compact works at half the input's resolution; 1: at all of it.", 1, 2)
    loss: str = named("l1", 'Loss: names and weights, as "l1 + 0.01*vgg22".')
    sigma: str = named("25", "Noise of denoise, standard deviation in grey levels: one, or a range as 0-50.")
    quality: str = named("10", "JPEG quality of deblock: one, or a range as 10-60.")
    grey: bool = named(False, "Train on grey photos, as DnCNN and its tables do.")
    steps: int = ranged(RESTORE_STEPS, "Training steps.", 0, 10_000_000)
    minutes: float = ranged(0.0, "Train for so long instead of a number of steps.", 0.0, 100_000.0)
    batch: int = ranged(16, "Patches a step.", 1, 1024)
    image_size: int = ranged(
        0, "Side of the training patches as they should come out, pixels; 0: 64, 96, 192, 256 for ×1, 2, 4, 8.", 0, 1024
    )
    learning_rate: float = ranged(0.0, "Adam's peak learning rate; 0: the network's default.", 0.0, 1.0)
    average: float = ranged(0.999, "Decay of the running mean of the weights, which is what is kept.", 0.0, 0.999999)
    seed: int = ranged(0, "Seed of every random choice.", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        for name, known in (("task", RESTORE_TASKS), ("network", tuple(NETWORK_SIZES))):
            if getattr(self, name) not in known:
                raise SettingsError(f"the {name} {getattr(self, name)!r} is unknown; allowed: {', '.join(known)}")
        check_ranges(self)
        self._check_scale()
        if self.layers and self.network == "dncnn" and self.layers < 3:
            raise SettingsError(f"layers is {self.layers}; dncnn has at least 3")
        if not self.steps and not self.minutes:
            raise SettingsError("steps and minutes are both 0; give one of them")
        multiple = 8 * self.scale if self.scale > 2 else 8
        if self.image_size % multiple or 0 < self.image_size < 32:
            raise SettingsError(f"image_size is {self.image_size}; allowed: multiples of {multiple} from 32 on")
        parse_range(self.sigma, "sigma", 0.0, 255.0)
        parse_range(self.quality, "quality", 1.0, 100.0)

    def _check_scale(self) -> None:
        if (self.task == "sr") != (self.scale > 1):
            allowed = "2, 4, 8" if self.task == "sr" else "1"
            raise SettingsError(f"scale is {self.scale} for the task {self.task}; allowed: {allowed}")
        scales = [n for n in NETWORK_SIZES[self.network].scales if (self.task == "sr") == (n > 1)]
        if not scales:
            wanted = 2 if self.task == "sr" else 1
            fitting = [name for name, size in NETWORK_SIZES.items() if wanted in size.scales]
            raise SettingsError(f"{self.network} is not made for the task {self.task}; allowed: {', '.join(fitting)}")
        if self.scale not in scales:
            raise SettingsError(
                f"{self.network} is not made for scale {self.scale}; allowed: {', '.join(map(str, scales))}"
            )
        if self.stem != 1 and self.network != "compact":
            raise SettingsError(f"stem is {self.stem}; {self.network} has none, only compact")

    @property
    def width(self) -> int:
        """Channels: what was asked for, or the network's default."""
        return self.channels or NETWORK_SIZES[self.network].channels

    @property
    def depth(self) -> int:
        """Layers: what was asked for, or the network's default."""
        return self.layers or NETWORK_SIZES[self.network].layers

    @property
    def side(self) -> int:
        """Side of the patches as they should come out, pixels."""
        return self.image_size or _SIDES[self.scale]

    @property
    def peak_rate(self) -> float:
        """Adam's peak learning rate: what was asked for, or the network's default."""
        return self.learning_rate or NETWORK_SIZES[self.network].learning_rate

    @property
    def sigma_range(self) -> tuple[float, float]:
        """Least and largest standard deviation of the noise, grey levels."""
        return parse_range(self.sigma, "sigma", 0.0, 255.0)

    @property
    def quality_range(self) -> tuple[float, float]:
        """Least and largest JPEG quality."""
        return parse_range(self.quality, "quality", 1.0, 100.0)

    def at_the_middle(self) -> RestoreSettings:
        """The same settings with one strength of noise and compression, for measuring."""
        sigma, quality = (sum(ends) / 2 for ends in (self.sigma_range, self.quality_range))
        return dataclasses.replace(self, sigma=f"{sigma:g}", quality=f"{quality:g}")


def parse_range(text: str, name: str, low: float, high: float) -> tuple[float, float]:
    """``25`` as (25, 25), ``0-50`` as (0, 50).

    Raises:
        SettingsError: it is neither, or outside of ``low`` .. ``high``.
    """
    parts = text.split("-")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if (
        len(values) not in (1, 2)
        or not all(math.isfinite(v) and low <= v <= high for v in values)
        or (values[0] > values[-1])
    ):
        raise SettingsError(
            f"{name} is {text!r}; allowed: one number or a range as {low:g}-{high:g}, within {low:g} to {high:g}"
        )
    return values[0], values[-1]
