"""What happens to each frame of a clip, as a stage that can begin anywhere in it."""

from __future__ import annotations

import collections
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from styletransfer.core.frames import Frame
    from styletransfer.runtime.chain import Chain


@dataclass(frozen=True)
class Look:
    """How results are to look: everything but the networks that changes their pixels.

    Attributes:
        strength: 0 (the clip itself) to 1 (the full style).
        keep_colors: take only the luminance from the style.
        smooth: 0 (every frame by itself) to 1 (as steady as it goes).
    """

    strength: float = 1.0
    keep_colors: bool = False
    smooth: float = 0.0


class Stage(Protocol):
    """What happens to each frame: called with every one from its first on, in order."""

    def __call__(self, frame: Frame) -> Frame:
        """The same moment with another picture."""

    def see(self, frame: Frame) -> None:
        """A frame before the first: what is remembered of it, as far as there is a memory."""


@dataclass(frozen=True)
class StageFactory:
    """Makes stages that begin at any frame of a clip.

    Attributes:
        make: given the index of the first frame, a fresh stage.
        warm_up_frames: how many frames before the first one a fresh stage is to see.
    """

    make: Callable[[int], Stage]
    warm_up_frames: int = 0


class Cleaner:
    """What a chain does before the style, and the mean over time behind it where noise is removed."""

    def __init__(self, chain: Chain) -> None:
        self._chain, self._denoiser = chain, None
        if chain.removes_noise:
            from styletransfer.media.denoise import TemporalDenoiser

            self._denoiser = TemporalDenoiser()

    @property
    def memory_frames(self) -> int:
        """How many frames it remembers."""
        return 0 if self._denoiser is None else self._denoiser.memory_frames

    def __call__(self, frame_hwc: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The next frame as the style is to see it."""
        clean_hwc = self._chain.clean(frame_hwc)
        return clean_hwc if self._denoiser is None else self._denoiser(clean_hwc)


class ChainStage:
    """A chain with a look, and with a memory where noise is removed or the result steadied.

    Noise is averaged over time behind the networks that remove it, before the style sees the frame. The result is
    steadied before it is enlarged: blending costs s² times as much afterwards, and what enlarges sees each frame alone
    and near, so that steady frames stay steady. The motion is that of the cleaned frames, whose flow no noise disturbs.
    """

    def __init__(self, chain: Chain, look: Look) -> None:
        self._chain, self._look = chain, look
        self._cleaner, self._smoother = Cleaner(chain), None
        if look.smooth:
            from styletransfer.media.steady import Smoother

            self._smoother = Smoother(look.smooth)

    @property
    def memory_frames(self) -> int:
        """How many frames it remembers."""
        return self._cleaner.memory_frames + (0 if self._smoother is None else self._smoother.memory_frames)

    def __call__(self, frame: Frame) -> Frame:
        """The frame through the chain."""
        return frame.with_picture(self._chain.enlarge(self._painted(self._cleaner(frame.frame_hwc))))

    def see(self, frame: Frame) -> None:
        """Remember what the next frames depend on."""
        clean_hwc = self._cleaner(frame.frame_hwc)
        if self._smoother is not None:
            self._painted(clean_hwc)

    def _painted(self, clean_hwc: NDArray[np.uint8]) -> NDArray[np.uint8]:
        painted_hwc = self._chain.paint(clean_hwc, self._look.strength, self._look.keep_colors)
        return painted_hwc if self._smoother is None else self._smoother(clean_hwc, painted_hwc)


def stage_factory(chain: Chain, look: Look) -> StageFactory:
    """The stages of a chain with a look."""
    first = ChainStage(chain, look)
    if not first.memory_frames:
        return StageFactory(lambda _: first)
    return StageFactory(lambda _: ChainStage(chain, look), first.memory_frames)


class SegmentedStage:
    """A stage for a whole clip that begins afresh at every segment.

    What a segment looks like then depends on the clip and the settings alone: not on where a run was interrupted,
    nor on which process made the segment before.

    Args:
        factory: makes the stages.
        segment_frames: frames a segment; 0 for clips without segments.
        first_frame: index of the first frame whose result counts; those before only warm up.
    """

    def __init__(self, factory: StageFactory, segment_frames: int = 0, first_frame: int = 0) -> None:
        self._factory = factory
        self._segment_frames = segment_frames
        self._first_frame = first_frame
        is_whole = not segment_frames and not first_frame  # its one stage sees every frame itself
        kept = 0 if is_whole else factory.warm_up_frames
        self._before: collections.deque[Frame] = collections.deque(maxlen=kept)
        self._stage: Stage | None = None

    def __call__(self, frame: Frame) -> Frame:
        """The stylized frame; a frame before the first one comes back as it is."""
        result = frame
        if frame.index >= self._first_frame:
            is_start = self._segment_frames and frame.index % self._segment_frames == 0
            if self._stage is None or is_start:
                self._stage = self._factory.make(frame.index)
                for earlier in self._before:
                    self._stage.see(earlier)
            result = self._stage(frame)
        self._before.append(frame)
        return result
