"""How unsteady the outputs of a clip are, frame by frame, beside how much is painted in them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from styletransfer.media.flow import (
    FlowEstimator,
    Frame,
    contrast,
    detail,
    flicker,
    is_cut,
    luminance,
    still_pixels,
    warping_error,
    without_partner,
)


@dataclass(frozen=True)
class Steadiness:
    """What was measured on one output of a clip.

    Attributes:
        warping_error: mean over the pairs of frames of :func:`styletransfer.media.flow.warping_error`, colours in 0..1.
        flicker_levels: mean of :func:`styletransfer.media.flow.flicker` over the pairs in which something stands
            still; ``None`` where nothing does.
        contrast_levels: how far the colours spread, grey levels.
        detail_levels: root mean square difference of neighbouring pixels, grey levels.
    """

    warping_error: float
    flicker_levels: float | None
    contrast_levels: float
    detail_levels: float


class StabilityMeter:
    """Takes the frames of a clip and what was made of them, one after the other, and keeps none but the last.

    Attributes:
        frames: how many were added.
        cuts: pairs that were left out because another scene begins between them.
        compared: mean share of the pixels that have a partner in the next frame.
        still: mean share of the pixels that stand still.
    """

    def __init__(self) -> None:
        self._flow = FlowEstimator("medium")
        self._input: Frame | None = None
        self._outputs: dict[str, Frame] = {}
        self._figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._compared: list[float] = []
        self._still: list[float] = []
        self.frames = 0
        self.cuts = 0

    @property
    def compared(self) -> float:
        """See the class; NaN without a pair."""
        return float(np.mean(self._compared)) if self._compared else float("nan")

    @property
    def still(self) -> float:
        """See the class; NaN without a pair."""
        return float(np.mean(self._still)) if self._still else float("nan")

    def add(self, frame_hwc: Frame, outputs: dict[str, Frame]) -> None:
        """The next frame of the clip, 16 pixels or more a side, and each output's, of the same size.

        Raises:
            ValueError: an output has another size.
        """
        for name, output in outputs.items():
            if output.shape != frame_hwc.shape:
                raise ValueError(f"{name} is {output.shape}, the input's frame {frame_hwc.shape}")
            self._figures[name]["contrast"].append(contrast(output))
            self._figures[name]["detail"].append(detail(output))
        if self._input is not None:
            self._compare(self._input, frame_hwc, outputs)
        self.frames += 1
        self._input, self._outputs = frame_hwc, dict(outputs)

    def _compare(self, first_hwc: Frame, second_hwc: Frame, outputs: dict[str, Frame]) -> None:
        first, second = luminance(first_hwc), luminance(second_hwc)
        flow, back = self._flow(first, second), self._flow(second, first)
        if is_cut(first, second, flow, without_partner(flow, back, boundaries=False)):
            self.cuts += 1
            return
        left_out = without_partner(flow, back)
        still = still_pixels(first, second, flow, left_out)
        self._compared.append(1 - float(left_out.mean()))
        self._still.append(float(still.mean()))
        for name, output in outputs.items():
            before = self._outputs[name]
            self._figures[name]["warping"].append(warping_error(before, output, flow, left_out))
            self._figures[name]["flicker"].append(flicker(before, output, still))

    def result(self, name: str) -> Steadiness:
        """The figures of one output so far; the warping error is NaN without a pair of one scene."""
        means = {key: _mean(values) for key, values in self._figures[name].items()}
        return Steadiness(
            warping_error=means.get("warping", float("nan")),
            flicker_levels=None if np.isnan(means.get("flicker", np.nan)) else means["flicker"],
            contrast_levels=means["contrast"],
            detail_levels=means["detail"],
        )


def _mean(values: list[float]) -> float:
    """Of those that are numbers."""
    numbers = [value for value in values if not np.isnan(value)]
    return float(np.mean(numbers)) if numbers else float("nan")
