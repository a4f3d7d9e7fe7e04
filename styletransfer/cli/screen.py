"""The live window of ``webcam``: what is drawn in it, when it is drawn anew, and what it remembers for that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from styletransfer.cli.show import LiveView
    from styletransfer.media.layout import Layout
    from styletransfer.media.view import ViewState
    from styletransfer.media.window import Event, PreviewWindow

_FIGURES_S = 0.25  # between two looks at the figures: faster than that nobody reads
_EMPTY_WH = (640, 480)


class Screen:
    """The window, what is drawn in it, and what is remembered for that."""

    def __init__(self, window: PreviewWindow) -> None:
        from styletransfer.media.window import Composer

        self._window = window
        self._composer = Composer()
        self._layout: Layout | None = None
        self._note = ""
        self._noted_s = self._flash_s = -1e9
        self._figures: tuple[str, ...] = ()
        self._figures_s = 0.0
        self._drawn: tuple[Any, ...] = ()
        self._is_full = False

    def draw(self, view: LiveView) -> None:
        """Compose, draw over it, show."""
        import numpy as np

        from styletransfer.media.layout import arrange
        from styletransfer.media.overlay import draw

        state, result = view.state, view.last
        now_s = time.perf_counter()
        if now_s - self._figures_s > _FIGURES_S:
            self._figures, self._figures_s = view.figures(), now_s
        if state.full_screen != self._is_full:
            self._is_full = state.full_screen
            self._window.set_full_screen(self._is_full)
        camera_hwc = result.camera.frame_hwc if result is not None else np.zeros((*_EMPTY_WH[::-1], 3), np.uint8)
        stylized_hwc = result.stylized_hwc if result is not None else camera_hwc
        picture_wh = (stylized_hwc.shape[1], stylized_hwc.shape[0])  # it may be the larger one
        canvas_wh = self._window.canvas_size(picture_wh)
        layout = arrange(canvas_wh, picture_wh, state.styles, state.style)
        divider = state.divider if state.split else None
        canvas = self._composer.compose(layout.canvas_wh, layout.picture, camera_hwc, stylized_hwc, divider)
        draw(canvas, state, layout, self._told(view), now_s)
        self._window.show(canvas)
        self._layout = layout
        self._drawn = self._looks(view)

    def needs_drawing(self, view: LiveView) -> bool:
        """Whether the window looks different from what was drawn last, though no frame came."""
        from styletransfer.media.overlay import is_moving

        return (
            self._layout is None
            or self._looks(view) != self._drawn
            or is_moving(view.state, self._layout, self._told(view), time.perf_counter())
        )

    def events(self) -> list[Event]:
        """What keys and mouse did."""
        return self._window.events()

    def react(self, state: ViewState, event: Event) -> ViewState:
        """The state after an event."""
        from styletransfer.media.layout import point
        from styletransfer.media.view import press

        now_s = time.perf_counter()
        if event.kind == "key":
            return press(state, event.key, now_s)
        return point(state, self._layout, event.kind, event.place_xy, now_s) if self._layout is not None else state

    def close(self) -> None:
        """Take the window off the screen."""
        self._window.close()

    def note(self, text: str) -> None:
        """Show a line for some seconds."""
        self._note, self._noted_s = text, time.perf_counter()

    def flash(self) -> None:
        """Light up for a moment."""
        self._flash_s = time.perf_counter()

    def _told(self, view: LiveView) -> Any:
        from styletransfer.media.panel import Told

        told = view.told()
        is_waiting = view.last is None
        return Told(
            **told,
            figures=self._figures,
            note=f"loading {told['titles'][view.state.style]}" if is_waiting else self._note,
            noted_s=time.perf_counter() if is_waiting else self._noted_s,
            flash_s=self._flash_s,
        )

    def _looks(self, view: LiveView) -> tuple[Any, ...]:
        told = view.told()
        return view.state, told["trouble"], len(told["thumbnails"]), self._note
