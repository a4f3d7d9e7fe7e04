"""The live window: shows a canvas, and collects what keys and mouse do. Everything drawn comes from elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from styletransfer.core.errors import OutputError
from styletransfer.media.display import check_display
from styletransfer.media.layout import Rect
from styletransfer.media.opencv import import_cv2
from styletransfer.media.view import key_name

__all__ = ["Composer", "Event", "PreviewWindow", "check_display"]

_LARGEST_WH = (1920, 1080)  # larger windows are scaled up by the window system: drawing more costs frames
_FIRST_WH = (1280, 800)
_SMALLEST = 160


@dataclass(frozen=True)
class Event:
    """Something that the user did.

    Attributes:
        kind: ``key``, or of the mouse ``move``, ``down``, ``up`` or ``double``.
        key: name of the key as ``view.key_name`` gives it.
        place_xy: where the mouse was, pixels of the canvas.
    """

    kind: str
    key: str = ""
    place_xy: tuple[int, int] = (0, 0)


class PreviewWindow:
    """A window that shows pictures and collects keys and clicks. Use it from the main thread.

    Enter it before anything imports PyAV (``styletransfer.media.video`` and others do): see ``__enter__``.

    Args:
        title: title of the window.

    Raises:
        OutputError: on entering: no display, or an OpenCV without windows.
        CameraError: on entering: OpenCV cannot be loaded.
    """

    def __init__(self, title: str = "styletransfer") -> None:
        self.title = title
        self._cv2: Any = None
        self._size_wh = (0, 0)
        self._picture_wh = (0, 0)
        self._events: list[Event] = []
        self._was_shown = False

    def __enter__(self) -> PreviewWindow:
        check_display()
        if sys.platform == "linux" and "av" in sys.modules and "cv2" not in sys.modules:
            # Both bring libraries of the X window system; in this order Qt waits for ever.
            raise OutputError("PyAV was imported before OpenCV, whose windows freeze then: import cv2 first")
        os.environ.setdefault("QT_LOGGING_RULES", "*=false")  # it would complain about fonts that nobody uses
        self._cv2 = import_cv2()
        try:
            flags = self._cv2.WINDOW_NORMAL | self._cv2.WINDOW_FREERATIO | self._cv2.WINDOW_GUI_NORMAL
            self._cv2.namedWindow(self.title, flags)
            self._cv2.setMouseCallback(self.title, self._on_mouse)
        except self._cv2.error as error:
            raise OutputError(
                "this OpenCV cannot open windows (opencv-python-headless?): `pip uninstall -y "
                "opencv-python-headless` and `pip install --force-reinstall opencv-python`, or use --headless"
            ) from error
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the window off the screen; what still has to be finished need not be watched."""
        with contextlib.suppress(self._cv2.error):  # closed with the mouse, it is gone already
            self._cv2.destroyAllWindows()
            self._cv2.waitKey(1)  # some systems close the window in their event loop only

    def canvas_size(self, picture_wh: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the canvas to draw: the window's own, so that nothing is scaled after drawing.

        Args:
            picture_wh: size of the pictures, from which the window takes its first size.
        """
        if picture_wh != self._picture_wh and not self._is_touched():
            self._picture_wh = picture_wh
            factor = min(side / picture for side, picture in zip(_FIRST_WH, picture_wh, strict=True))
            self._size_wh = (round(picture_wh[0] * factor), round(picture_wh[1] * factor))
            self._cv2.resizeWindow(self.title, *self._size_wh)
        elif self._was_shown and (real_wh := self._real_size()) is not None:
            self._size_wh = real_wh
        factor = min(1.0, *(side / own for side, own in zip(_LARGEST_WH, self._size_wh, strict=True)))
        return round(self._size_wh[0] * factor), round(self._size_wh[1] * factor)

    def _real_size(self) -> tuple[int, int] | None:
        """The window's size now; None where it is too small to draw in, or OpenCV does not know."""
        with contextlib.suppress(self._cv2.error):
            _, _, width, height = self._cv2.getWindowImageRect(self.title)
            if min(width, height) >= _SMALLEST:
                return width, height
        return None

    def _is_touched(self) -> bool:
        """Whether somebody made the window larger or smaller: then its size is theirs."""
        if not self._was_shown:
            return False
        real_wh = self._real_size()
        return real_wh is not None and max(abs(a - b) for a, b in zip(real_wh, self._size_wh, strict=True)) > 40

    def show(self, canvas_bgr: NDArray[np.uint8]) -> None:
        """Show a canvas, BGR uint8 ``[H, W, 3]``."""
        self._cv2.imshow(self.title, canvas_bgr)
        self._was_shown = True

    def set_full_screen(self, is_full: bool) -> None:
        """Fill the screen, or be a window again."""
        mode = self._cv2.WINDOW_FULLSCREEN if is_full else self._cv2.WINDOW_NORMAL
        with contextlib.suppress(self._cv2.error):
            self._cv2.setWindowProperty(self.title, self._cv2.WND_PROP_FULLSCREEN, mode)

    def events(self) -> list[Event]:
        """What happened since the last call; the key ``q`` when the window was closed with the mouse."""
        while (code := self._cv2.waitKeyEx(1)) != -1:
            self._events.append(Event("key", key_name(code)))
        happened, self._events = self._events, []
        if self._was_shown and not self._is_open():
            happened.append(Event("key", "q"))
        return happened

    def _on_mouse(self, kind: int, x: int, y: int, *_: Any) -> None:
        cv2 = self._cv2
        names = {
            cv2.EVENT_MOUSEMOVE: "move",
            cv2.EVENT_LBUTTONDOWN: "down",
            cv2.EVENT_LBUTTONUP: "up",
            cv2.EVENT_LBUTTONDBLCLK: "double",
        }
        if kind in names:
            self._events.append(Event(names[kind], place_xy=(x, y)))

    def _is_open(self) -> bool:
        try:
            return bool(self._cv2.getWindowProperty(self.title, self._cv2.WND_PROP_VISIBLE) >= 1)
        except self._cv2.error:  # Qt: the last window is gone, and its receiver with it
            return False


class Composer:
    """Puts the pictures on a canvas; it keeps its memory from frame to frame."""

    def __init__(self) -> None:
        self._canvas = np.zeros((0, 0, 3), np.uint8)
        self._place: Rect | None = None
        self._scaled: dict[str, NDArray[np.uint8]] = {}

    def compose(
        self,
        canvas_wh: tuple[int, int],
        place: Rect,
        camera_hwc: NDArray[np.uint8],
        stylized_hwc: NDArray[np.uint8],
        divider: float | None,
    ) -> NDArray[np.uint8]:
        """The canvas (BGR uint8 ``[H, W, 3]``), black around the picture; good until the next call.

        Args:
            canvas_wh: its width and height.
            place: where the picture lies on it.
            camera_hwc: RGB uint8 ``[H, W, 3]``.
            stylized_hwc: the same picture, of any size.
            divider: left of this part of the width the camera is shown; None shows the style alone.
        """
        cv2 = import_cv2()
        if self._canvas.shape[:2] != (canvas_wh[1], canvas_wh[0]) or place != self._place:
            self._canvas = np.zeros((canvas_wh[1], canvas_wh[0], 3), np.uint8)
            self._place, self._scaled = place, {}
        target = self._canvas[place.y : place.y + place.h, place.x : place.x + place.w]
        cv2.cvtColor(self._fitted("style", stylized_hwc, place), cv2.COLOR_RGB2BGR, dst=target)
        if divider is not None and (split := round(place.w * divider)) > 0:
            left = self._fitted("camera", camera_hwc, place)[:, :split]
            cv2.cvtColor(left, cv2.COLOR_RGB2BGR, dst=target[:, :split])
        return self._canvas

    def _fitted(self, name: str, picture_hwc: NDArray[np.uint8], place: Rect) -> NDArray[np.uint8]:
        height, width = picture_hwc.shape[:2]
        if (width, height) == (place.w, place.h):
            return picture_hwc
        cv2 = import_cv2()
        method = cv2.INTER_AREA if place.w < width else cv2.INTER_LINEAR
        scaled: NDArray[np.uint8] = cv2.resize(
            picture_hwc, (place.w, place.h), dst=self._scaled.get(name), interpolation=method
        )
        self._scaled[name] = scaled
        return scaled
