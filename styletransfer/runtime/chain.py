"""Clean, stylize, enlarge: networks one after the other, as one callable that pictures, clips and cameras share."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from styletransfer.core.errors import SettingsError
from styletransfer.runtime.restorer import Restorer
from styletransfer.runtime.stylizer import Stylizer

Frame = npt.NDArray[np.uint8]

_NOISE_TASKS = ("denoise", "clean")


class Chain:
    """Restorers, a style, restorers: each part may be missing. It is for one thread at a time, as its networks are.

    Args:
        style: the style; None for restoration alone.
        before: run first, in this order: the style sees a clean frame.
        after: run last, in this order: the stylized frame is enlarged.

    Attributes:
        style: as given.
        before: as given.
        after: as given.
        name: the networks' names, joined by hyphens.
        scale: the result's side as a multiple of the frame's.
    """

    def __init__(
        self, style: Stylizer | None = None, before: Sequence[Restorer] = (), after: Sequence[Restorer] = ()
    ) -> None:
        self.style, self.before, self.after = style, tuple(before), tuple(after)
        self.name = "-".join(network.name for network in self._networks)
        self.scale = prod(restorer.scale for restorer in (*self.before, *self.after))

    def __call__(self, frame_hwc: Frame, strength: float = 1.0, keep_colors: bool = False) -> Frame:
        """Run the whole chain.

        Args:
            frame_hwc: RGB uint8 ``[H, W, 3]`` of any size.
            strength: 0 gives the cleaned frame, 1 the full style; the mix is enlarged, not the style alone.
            keep_colors: take only the luminance from the style.

        Returns:
            RGB uint8 ``[s H, s W, 3]`` with s the chain's scale. An empty chain gives the frame itself.

        Raises:
            InputError: no such array, or a picture too large for the memory that is free.
            ModelError: a network fails on it.
            SettingsError: ``strength`` is out of range.
        """
        return self.enlarge(self.paint(self.clean(frame_hwc), strength, keep_colors))

    def clean(self, frame_hwc: Frame) -> Frame:
        """The frame as the style is to see it: after what comes before the style."""
        return _through(self.before, frame_hwc)

    def paint(self, frame_hwc: Frame, strength: float = 1.0, keep_colors: bool = False) -> Frame:
        """A cleaned frame in the style, the same size; the frame itself where the chain has none."""
        if not 0.0 <= strength <= 1.0:
            raise SettingsError(f"strength is {strength}; it must lie between 0 (the photo) and 1 (the style)")
        return frame_hwc if self.style is None else self.style(frame_hwc, strength, keep_colors)

    def enlarge(self, frame_hwc: Frame) -> Frame:
        """What comes after the style: a stylized frame, restored."""
        return _through(self.after, frame_hwc)

    def warm_up(self, height: int, width: int) -> None:
        """Prepare every network for the size that it meets, where the chain's frames have this one."""
        scale = 1
        for network in self._networks:
            network.warm_up(height * scale, width * scale)
            scale *= network.scale if isinstance(network, Restorer) else 1

    @property
    def provider(self) -> str:
        """Short name of the provider that really runs; of all of them, in order, where they differ."""
        return "/".join(dict.fromkeys(network.provider for network in self._networks))

    @property
    def removes_noise(self) -> bool:
        """Whether a restorer before the style is there for noise, which frames of a clip can be averaged against."""
        return any(restorer.task in _NOISE_TASKS for restorer in self.before)

    @property
    def gains_from_warm_up(self) -> bool:
        """Whether :meth:`warm_up` for a size may make frames of it faster for good."""
        return any(network.gains_from_warm_up for network in self._networks)

    @property
    def _networks(self) -> tuple[Restorer | Stylizer, ...]:
        style = () if self.style is None else (self.style,)
        return *self.before, *style, *self.after


def _through(restorers: Sequence[Restorer], frame_hwc: Frame) -> Frame:
    for restorer in restorers:
        frame_hwc = restorer(frame_hwc)
    return frame_hwc


def load_chain(
    style: Path | None,
    before: Sequence[Path] = (),
    after: Sequence[Path] = (),
    provider: str = "auto",
    threads: int | None = None,
) -> Chain:
    """Load a chain's files.

    Raises:
        ModelError: a file is missing, damaged, or of the other kind.
        ProviderError: the provider is not there or does not load.
        MissingExtraError: onnxruntime is not installed.
    """
    restorers = [[Restorer(path, provider, threads) for path in paths] for paths in (before, after)]
    return Chain(None if style is None else Stylizer(style, provider, threads), *restorers)
