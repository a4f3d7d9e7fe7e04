"""What a training can be told; the command line takes its defaults and help from here."""

from __future__ import annotations

from dataclasses import dataclass

from styletransfer.core.errors import SettingsError
from styletransfer.core.ranges import check_ranges, named, ranged


@dataclass(frozen=True)
class Architecture:
    """Defaults of a network.

    Attributes:
        channels: width of the residual blocks.
        learning_rate: peak learning rate of Adam.
        muon_rate: peak learning rate of Muon, which trains the inner kernels.
        margin: pixels that the photos of a training are larger than what its losses see, a window at a random place.
            A network that pads with zeros otherwise learns to paint a frame, which lowers the style loss.
    """

    channels: int
    learning_rate: float
    muon_rate: float
    margin: int = 0


ARCHITECTURES = {
    "live": Architecture(64, 3e-3, 2e-2),
    "plain": Architecture(64, 2e-3, 2e-2, margin=32),
    "johnson": Architecture(128, 1e-3, 2e-2),
}
"""Networks by name."""

STEPS_FROM_SCRATCH = 2000
STEPS_FROM_A_STYLE = 500


@dataclass(frozen=True)
class TrainSettings:
    """Settings of one training. Every one is checked on construction.

    Raises:
        SettingsError: a value outside its range, named with what is allowed.
    """

    architecture: str = named(
        "live", "Network: live (fast), plain (without norms, the fastest on CPUs) or johnson (the paper's)."
    )
    channels: int = ranged(0, "Width of the network; 0: 64 for live and plain, 128 for johnson.", 0, 512)
    steps: int = ranged(STEPS_FROM_SCRATCH, "Training steps.", 1, 1_000_000)
    batch: int = ranged(2, "Photos a step.", 1, 256)
    image_size: int = ranged(256, "Side of the training crops, pixels, a multiple of 8.", 32, 1024)
    style_size: int = ranged(
        384, "Longer side of the painting in training, pixels: larger makes larger strokes.", 32, 2048
    )
    content_weight: float = ranged(1.0, "Weight of the photo's content.", 0.0, 1e6)
    style_weight: float = ranged(5.0, "Weight of the painting's style: 2 is gentle, 10 is strong.", 0.0, 1e6)
    tv_weight: float = ranged(1e-6, "Weight of total variation: more is smoother.", 0.0, 1e3)
    smooth_weight: float = ranged(10.0, "Weight against stripes in smooth gradients.", 0.0, 1e6)
    stability_weight: float = ranged(
        0.0, "Weight against flicker in video: the painted picture of a moved photo is the moved picture.", 0.0, 1e6
    )
    clip_pairs: int = ranged(0, "Pairs of frames out of clips that steadiness is learned from, too.", 0, 100_000)
    learning_rate: float = ranged(
        0.0,
        "Adam's peak learning rate, with which Muon's goes; 0: 3e-3 (live), 2e-3 (plain), 1e-3 (johnson).",
        0.0,
        1.0,
    )
    seed: int = ranged(0, "Seed of every random choice.", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise SettingsError(f"the network {self.architecture!r} is unknown; allowed: {', '.join(ARCHITECTURES)}")
        check_ranges(self)
        if self.channels % 4:
            raise SettingsError(f"channels is {self.channels}; allowed: multiples of 4")
        if self.image_size % 8:
            raise SettingsError(f"image_size is {self.image_size}; allowed: multiples of 8")

    @property
    def width(self) -> int:
        """Channels of the residual blocks: what was asked for, or the network's default."""
        return self.channels or ARCHITECTURES[self.architecture].channels

    @property
    def crop_size(self) -> int:
        """Side of the crops of photos, pixels, of which the losses see :attr:`image_size`."""
        return self.image_size + ARCHITECTURES[self.architecture].margin

    @property
    def peak_rate(self) -> float:
        """Adam's peak learning rate: what was asked for, or the network's default."""
        return self.learning_rate or ARCHITECTURES[self.architecture].learning_rate

    @property
    def peak_muon_rate(self) -> float:
        """Muon's peak learning rate: the network's default, changed as much as :attr:`peak_rate` is."""
        default = ARCHITECTURES[self.architecture]
        return default.muon_rate * self.peak_rate / default.learning_rate
