"""What happens to each frame of a clip, as a stage that can begin anywhere in it."""

from __future__ import annotations

import collections
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


@dataclass(frozen=True)
class StageFactory:
    """Makes stages that begin at any frame of a clip.

    Attributes:
        make: given the index of the first frame, a fresh stage: called with every frame from there on, in order,
            it returns the same moment with another picture.
        warm_up_frames: how many frames before the first one a fresh stage is called with, in place of what it
            would remember; what it makes of them is thrown away.
    """

    make: Callable[[int], Callable[[Frame], Frame]]
    warm_up_frames: int = 0


def stage_factory(chain: Chain, look: Look) -> StageFactory:
    """The stages of a chain with a look.

    Frames are steadied after the style and before they are enlarged: blending costs s² times as much afterwards, and
    what enlarges sees each frame alone and near, so that steady frames stay steady. The motion is that of the cleaned
    frames, whose flow no noise disturbs.
    """

    def stage(frame: Frame) -> Frame:
        return frame.with_picture(chain(frame.frame_hwc, look.strength, look.keep_colors))

    if not look.smooth:
        return StageFactory(lambda _: stage)
    from styletransfer.media.steady import Smoother

    def make(_: int) -> Callable[[Frame], Frame]:
        smoother = Smoother(look.smooth)

        def steadied(frame: Frame) -> Frame:
            clean_hwc = chain.clean(frame.frame_hwc)
            painted_hwc = smoother(clean_hwc, chain.paint(clean_hwc, look.strength, look.keep_colors))
            return frame.with_picture(chain.enlarge(painted_hwc))

        return steadied

    return StageFactory(make, Smoother(look.smooth).memory_frames)


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
        self._before: collections.deque[Frame] = collections.deque(maxlen=factory.warm_up_frames)
        self._stage: Callable[[Frame], Frame] | None = None

    def __call__(self, frame: Frame) -> Frame:
        """The stylized frame; a frame before the first one comes back as it is."""
        result = frame
        if frame.index >= self._first_frame:
            is_start = self._segment_frames and frame.index % self._segment_frames == 0
            if self._stage is None or is_start:
                self._stage = self._factory.make(frame.index)
                for earlier in self._before:
                    self._stage(earlier)
            result = self._stage(frame)
        self._before.append(frame)
        return result
