"""The styles of a live session: loaded in a thread, one after the other, with a small picture of each."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from styletransfer.cli.common import warn
from styletransfer.core.errors import StyleTransferError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from styletransfer.runtime.stylizer import Stylizer

THUMBNAIL_WH = (200, 128)
_SETTLED_S = 0.4
_LONGEST_REST_S = 0.5


class StyleShelf:
    """Styles by number. A context manager: inside, a thread loads what is asked for and paints thumbnails.

    Args:
        paths: the style files.
        provider: execution provider for all of them.

    Attributes:
        titles: a readable name of each.
        subtitles: what each was trained on, as far as it is known by now.
        broken: styles that do not load or do not run, and why.
        thumbnails: RGB uint8 ``[128, 200, 3]`` pictures of the styles that were ready for it.
    """

    def __init__(self, paths: list[Path], provider: str) -> None:
        self.paths = paths
        self.titles = tuple(path.stem.replace("_", " ").strip().title() or path.stem for path in paths)
        self.subtitles = [""] * len(paths)
        self.broken: dict[int, str] = {}
        self.thumbnails: dict[int, NDArray[np.uint8]] = {}
        self._provider = provider
        self._loaded: dict[int, Stylizer] = {}
        self._locks = [threading.Lock() for _ in paths]  # a style is run by one thread at a time
        self._changed = threading.Condition()
        self._wanted: list[int] = []  # by the show, most urgent first
        self._unpainted: list[int] = []
        self._still: NDArray[np.uint8] | None = None
        self._size_wh = (0, 0)  # of the pictures that are stylized now
        self._asked_s = 0.0  # since when
        self._warm: dict[int, tuple[int, int]] = {}  # style to the size that it was prepared for
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="styles", daemon=True)

    def __enter__(self) -> StyleShelf:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def load(self, style: int) -> Stylizer:
        """The style, loaded here and now if need be.

        Raises:
            StyleTransferError: it does not load.
        """
        from styletransfer.runtime.stylizer import Stylizer

        with self._locks[style]:
            if style not in self._loaded:
                stylizer = Stylizer(self.paths[style], provider=self._provider)
                card = stylizer.card
                if card is not None:
                    parts = (card.painting.title, card.painting.artist, card.painting.year)
                    self.subtitles[style] = ", ".join(part for part in parts if part)
                self._loaded[style] = stylizer
            return self._loaded[style]

    def provider(self, style: int) -> str:
        """The provider that really runs a style; empty while it is not loaded."""
        return self._loaded[style].provider if style in self._loaded else ""

    def get(self, style: int) -> Stylizer | None:
        """The style if it is ready; else None, and it is loaded next."""
        if self._is_ready(style):
            return self._loaded[style]
        if style not in self.broken:
            with self._changed:
                if not self._wanted or self._wanted[0] != style:
                    self._wanted.insert(0, style)
                    self._changed.notify_all()
        return None

    def _is_ready(self, style: int) -> bool:
        """Whether the show can go on with it without a pause: loaded, and compiled where that takes time."""
        stylizer = self._loaded.get(style)
        return stylizer is not None and (style in self._warm or not stylizer.gains_from_warm_up)

    def run(self, style: int, picture_hwc: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Stylize RGB uint8 ``[H, W, 3]`` with a style that is ready, at full strength.

        Raises:
            StyleTransferError: the network fails.
        """
        with self._locks[style]:
            self._prepare(style, (picture_hwc.shape[1], picture_hwc.shape[0]))
            return self._loaded[style](picture_hwc)

    def is_prepared(self, style: int) -> bool:
        """Whether its times are those that it will have from now on."""
        return not self._loaded[style].gains_from_warm_up or self._warm.get(style) == self._size_wh

    def _prepare(self, style: int, size_wh: tuple[int, int]) -> None:
        """Compile for a size, where the provider does, as soon as it is not just passed through by a slider."""
        now_s = time.perf_counter()
        if size_wh != self._size_wh:
            self._size_wh, self._asked_s = size_wh, now_s
        is_settled = not self._warm or now_s - self._asked_s > _SETTLED_S
        if is_settled and not self.is_prepared(style):
            self._loaded[style].warm_up(size_wh[1], size_wh[0])
            self._warm[style] = size_wh

    def fail(self, style: int, error: StyleTransferError) -> None:
        """Note that a style cannot be used, and say so once."""
        if style not in self.broken:
            self.broken[style] = str(error)
            warn(str(error))

    def show_on(self, frame_hwc: NDArray[np.uint8]) -> None:
        """Paint new thumbnails of this picture, RGB uint8 ``[H, W, 3]``, with every style."""
        from styletransfer.media.opencv import resize

        height, width = frame_hwc.shape[:2]
        wide, high = THUMBNAIL_WH
        cut_w, cut_h = min(width, height * wide // high), min(height, width * high // wide)
        left, top = (width - cut_w) // 2, (height - cut_h) // 2
        still = resize(frame_hwc[top : top + cut_h, left : left + cut_w], THUMBNAIL_WH)
        with self._changed:
            self._still, self._unpainted = still, list(range(len(self.paths)))
            self._changed.notify_all()

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            style, still = job
            started_s = time.perf_counter()
            try:
                stylizer = self.load(style)
                with self._locks[style]:
                    if still is not None:
                        self.thumbnails[style] = stylizer(still)
                    elif not self._is_ready(style) and self._size_wh != (0, 0):
                        stylizer.warm_up(self._size_wh[1], self._size_wh[0])
                        self._warm[style] = self._size_wh
            except StyleTransferError as error:
                self.fail(style, error)
            if still is not None:  # thumbnails can wait: the show has the processor at least half of the time
                self._rest(min(_LONGEST_REST_S, time.perf_counter() - started_s))

    def _rest(self, seconds: float) -> None:
        """Do nothing for a while, unless the show wants something."""
        with self._changed:
            if not self._wanted and not self._closing:
                self._changed.wait(seconds)

    def _next_job(self) -> tuple[int, NDArray[np.uint8] | None] | None:
        """The next style, and the still to paint with it; None at the end."""
        with self._changed:
            while not self._closing:
                wanted = [style for style in self._wanted if not self._is_ready(style) and style not in self.broken]
                self._wanted = []
                if wanted:
                    self._wanted = wanted[1:]
                    return wanted[0], None
                while self._unpainted:
                    style = self._unpainted.pop(0)
                    if style not in self.broken:
                        return style, self._still
                self._changed.wait()
        return None
