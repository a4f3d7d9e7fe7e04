"""What ``webcam`` makes of each frame: size, clean-up, style, cross-fade, person and background, strength, scale."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from styletransfer.cli.stages import Cleaner
from styletransfer.core.errors import StyleTransferError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from styletransfer.cli.shelf import StyleShelf
    from styletransfer.core.frames import Frame
    from styletransfer.media.view import ViewState
    from styletransfer.runtime.adaptive import SizeController
    from styletransfer.runtime.chain import Chain
    from styletransfer.runtime.mask import PersonMask

    Picture = NDArray[np.uint8]

_FADE_S = 0.35
_LIVE_FADE_S = 0.06  # a network slower than this is not run twice a frame for a cross-fade
_MULTIPLE = 8
_LARGEST_SIDE = 4096


@dataclass(frozen=True)
class Result:
    """One stylized frame and the settings that made it.

    Attributes:
        camera: the frame as it is shown: mirrored and of the size asked for.
        stylized_hwc: RGB uint8, the same size, or as many times larger as the restorers make it.
        style: name of the style.
        worked_wh: width and height that the network saw.
    """

    camera: Frame
    stylized_hwc: Picture
    style: str
    worked_wh: tuple[int, int]


class LiveStage:
    """Stylizes frames by the current state; runs in the pipeline's thread, keys come from the window's.

    The state is one frozen object that is swapped as a whole, so the two threads need no lock.

    Args:
        shelf: the styles.
        state: what is wanted at the beginning.
        size: longer side of the result, pixels; None keeps the camera's size.
        controller: chooses the processing size for a frame rate; None works at full size.
        make_mask: loads the network that finds people; called when it is needed first.
        restorers: a chain without a style: what cleans a frame first, and what works on the finished one. The size
            that the controller chooses is the style's alone.

    Attributes:
        state: what is wanted now; others replace it.
        message: what does not work at the moment, empty for nothing.
        waits: seconds from the grab to the beginning of the work.
    """

    def __init__(
        self,
        shelf: StyleShelf,
        state: ViewState,
        *,
        size: int | None = None,
        controller: SizeController | None = None,
        make_mask: Callable[[], PersonMask] | None = None,
        restorers: Chain | None = None,
    ) -> None:
        from styletransfer.runtime.chain import Chain
        from styletransfer.runtime.timing import RollingStats

        self.state = state
        self.message = ""
        self.waits = RollingStats(window=4096)
        self._shelf = shelf
        self._size = size
        self._controller = controller
        self._make_mask = make_mask
        self._restorers = restorers or Chain()
        self._restorers_hw = (0, 0)  # that they were prepared for
        self._cleaner = Cleaner(self._restorers)
        self._mask: PersonMask | None = None
        self._mask_failed = ""
        self._current = state.style
        self._fade: _Fade | None = None
        self._last: Picture | None = None  # the network's last output, to fade from
        self._network_s = 0.0
        self._worked_wh = (0, 0)

    @property
    def provider(self) -> str:
        """The provider that really runs the style; empty before the first frame."""
        return self._shelf.provider(self._current)

    @property
    def can_mask(self) -> bool:
        """Whether person and background can be told apart."""
        return self._make_mask is not None and not self._mask_failed

    def __call__(self, frame: Frame) -> Result:
        """Stylize one frame; the first call loads the first style.

        Raises:
            StyleTransferError: that does not load, or no style works any more.
        """
        if not self.provider:  # here and not in the window's thread, which would stand still for it
            self._shelf.load(self._current)
        started_s = time.perf_counter()
        self.waits.add(started_s - frame.grabbed_s)
        state = self.state
        picture = self._prepared(frame.frame_hwc, state.mirror)
        self._prepare_restorers(picture)
        clean = self._cleaner(picture)
        worked_wh = self._work_size(clean, state.stroke)
        calm = self._fade is None and worked_wh == self._worked_wh
        self._worked_wh = worked_wh
        result = self._restorers.enlarge(clean if state.strength == 0 else self._stylized(clean, worked_wh, state))
        if self._controller is not None and calm and self._shelf.is_prepared(self._current):
            now_s = time.perf_counter()
            self._controller.note(now_s - started_s, now_s)
        return Result(frame.with_picture(picture), result, self._shelf.paths[self._current].stem, worked_wh)

    def _prepared(self, picture: Picture, mirror: bool) -> Picture:
        import numpy as np

        from styletransfer.core.pictures import fit_size
        from styletransfer.media.opencv import resize

        if self._size is not None:
            picture = resize(picture, fit_size((picture.shape[1], picture.shape[0]), self._size))
        return np.ascontiguousarray(picture[:, ::-1]) if mirror else picture

    def _prepare_restorers(self, picture: Picture) -> None:
        """Prepare the restorers for the size where that makes them faster."""
        size_hw = (picture.shape[0], picture.shape[1])
        if size_hw != self._restorers_hw and self._restorers.gains_from_warm_up:
            self._restorers.warm_up(*size_hw)
            self._restorers_hw = size_hw

    def _work_size(self, picture: Picture, stroke: float) -> tuple[int, int]:
        """What the network is to see: smaller for larger strokes, and as small as the frame rate asks for."""
        full_wh = (picture.shape[1], picture.shape[0])
        sizes = [full_wh]
        if stroke != 1.0:
            scale = min(1 / stroke, _LARGEST_SIDE / max(full_wh))
            width, height = (max(_MULTIPLE, round(side * scale / _MULTIPLE) * _MULTIPLE) for side in full_wh)
            sizes = [(width, height)]
        if self._controller is not None:
            sizes.append(self._controller.size_for(full_wh))
        return min(sizes, key=lambda wh: wh[0] * wh[1])

    def _stylized(self, picture: Picture, worked_wh: tuple[int, int], state: ViewState) -> Picture:
        from styletransfer.core.blending import overlay
        from styletransfer.media.opencv import resize

        small = resize(picture, worked_wh)
        result = self._finished(picture, self._faded(small, state), state)
        mask = self._person(picture) if state.needs_mask else None
        if mask is None:
            return result
        if state.style_on == "both":
            behind = self._behind(small, state)
            other = result if behind is None else self._finished(picture, behind, state)
            return overlay(other, result, mask)
        return overlay(picture, result, mask if state.style_on == "person" else 255 - mask)

    def _finished(self, picture: Picture, stylized: Picture, state: ViewState) -> Picture:
        """The network's output at the picture's size, mixed with the picture."""
        from styletransfer.core.blending import blend
        from styletransfer.media.opencv import resize

        whole = resize(stylized, (picture.shape[1], picture.shape[0]))
        return blend(picture, whole, state.strength, state.keep_colors)

    def _faded(self, small: Picture, state: ViewState) -> Picture:
        """The style's output; for a moment after a change, a mix with the one before."""
        from styletransfer.core.blending import blend

        before = self._current
        output = self._run(small, state.style)
        now_s = time.perf_counter()
        if self._current != before and self._last is not None:
            is_live = self._network_s < _LIVE_FADE_S and before not in self._shelf.broken
            self._fade = _Fade(now_s, before if is_live else None, self._last)
        self._last = output
        fade = self._fade
        if fade is None:
            return output
        part = (now_s - fade.started_s) / _FADE_S
        old = fade.last if fade.style is None else self._shelf.run(fade.style, small)
        if part >= 1 or old.shape != output.shape:
            self._fade = None
            return output
        return blend(old, output, part * part * (3 - 2 * part))

    def _run(self, small: Picture, style: int) -> Picture:
        """Run the style asked for, or, while it is not there, the one before."""
        self._choose(style)
        while True:
            started_s = time.perf_counter()
            try:
                output = self._shelf.run(self._current, small)
            except StyleTransferError as error:
                self._shelf.fail(self._current, error)
                self._current = self._working_style(error)
                continue
            self._network_s = time.perf_counter() - started_s
            return output

    def _choose(self, style: int) -> None:
        if style == self._current:
            self.message = self._mask_failed
        elif style in self._shelf.broken:
            self.message = f"{self._shelf.paths[style].stem} does not load"
        elif self._shelf.get(style) is not None:
            self._current, self.message = style, self._mask_failed

    def _working_style(self, error: StyleTransferError) -> int:
        """Another style that is loaded, after one failed while it ran."""
        self.message = f"{self._shelf.paths[self._current].stem} fails"
        for style in range(len(self._shelf.paths)):
            if style not in self._shelf.broken and self._shelf.get(style) is not None:
                return style
        raise error

    def _behind(self, small: Picture, state: ViewState) -> Picture | None:
        """The second style's output, None while it is not there."""
        style = state.background
        if style in self._shelf.broken or self._shelf.get(style) is None:
            return None
        try:
            return self._shelf.run(style, small)
        except StyleTransferError as error:
            self._shelf.fail(style, error)
            return None

    def _person(self, picture: Picture) -> Picture | None:
        """The mask of the person; None where there is no network for it."""
        from styletransfer.cli.common import warn

        if self._make_mask is None or self._mask_failed:
            return None
        try:
            if self._mask is None:
                self._mask = self._make_mask()
            return self._mask(picture)
        except StyleTransferError as error:
            self._mask_failed = "the mask network fails: style on everything"
            warn(str(error))
            return None


@dataclass(frozen=True)
class _Fade:
    """A change of style that is under way.

    Attributes:
        started_s: when it began.
        style: the style before, run beside the new one; None where that would be too slow.
        last: its last output, faded from where it is not run.
    """

    started_s: float
    style: int | None
    last: Picture
