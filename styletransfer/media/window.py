"""The preview window: what the keys do, what is written over the picture, and the window itself.

The keys act on a frozen state through a pure function, the drawing takes that state, and only
:class:`PreviewWindow` needs a display.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from styletransfer.core.errors import OutputError
from styletransfer.media.opencv import import_cv2

_STEP = 0.1

HELP = (
    "n / p or arrows   next / previous style",
    "+ / - or ] / [    strength",
    "c  keep colours       s  split view",
    "space  snapshot       r  record",
    "h  help               q or Esc  quit",
)


@dataclass(frozen=True)
class ViewState:
    """What the keys can change.

    Attributes:
        styles: number of styles there are, at least 1.
        style: the one that is shown, 0 .. styles-1.
        strength: 0 (the camera's picture) .. 1 (the style alone).
        keep_colors: brightness from the style, colours from the camera.
        split: camera on the left, style on the right.
        help: the list of keys is shown.
        snapshots: how many snapshots were asked for.
        recording: frames are being recorded.
        quit: the window is to close.
    """

    styles: int
    style: int = 0
    strength: float = 1.0
    keep_colors: bool = False
    split: bool = False
    help: bool = False
    snapshots: int = 0
    recording: bool = False
    quit: bool = False


def press(state: ViewState, key: str) -> ViewState:  # noqa: PLR0911 - a table of keys
    """The state after a key: a character, or ``left``, ``right``, ``space``, ``escape``."""
    match key:
        case "n" | "right":
            return replace(state, style=(state.style + 1) % state.styles)
        case "p" | "left":
            return replace(state, style=(state.style - 1) % state.styles)
        case "+" | "=" | "]":
            return replace(state, strength=min(1.0, round(state.strength + _STEP, 2)))
        case "-" | "_" | "[":
            return replace(state, strength=max(0.0, round(state.strength - _STEP, 2)))
        case "c":
            return replace(state, keep_colors=not state.keep_colors)
        case "s":
            return replace(state, split=not state.split)
        case "h" | "?":
            return replace(state, help=not state.help)
        case "space":
            return replace(state, snapshots=state.snapshots + 1)
        case "r":
            return replace(state, recording=not state.recording)
        case "q" | "escape":
            return replace(state, quit=True)
    return state


_SPECIAL_KEYS = {
    27: "escape",
    32: "space",
    # Left and right as Linux (Qt and GTK), Windows and macOS number them.
    65361: "left",
    65363: "right",
    2424832: "left",
    2555904: "right",
    63234: "left",
    63235: "right",
    # The number pad's signs.
    65451: "+",
    65453: "-",
}


def key_name(code: int) -> str:
    """The key of a ``cv2.waitKeyEx`` code, as :func:`press` takes it; empty for none."""
    for candidate in (code, code & 0xFFFF):  # some systems add bits for Shift and NumLock
        if candidate in _SPECIAL_KEYS:
            return _SPECIAL_KEYS[candidate]
    character = code & 0xFFFF
    return chr(character).lower() if code >= 0 and 32 < character < 127 else ""


def compose(camera_hwc: NDArray[np.uint8], stylized_hwc: NDArray[np.uint8], split: bool) -> NDArray[np.uint8]:
    """The picture to show: the stylized one, or both halves with a white line between them.

    Args:
        camera_hwc: RGB uint8 ``[H, W, 3]``.
        stylized_hwc: the same size.
        split: camera on the left half.
    """
    if not split:
        return stylized_hwc
    middle = camera_hwc.shape[1] // 2
    shown = stylized_hwc.copy()
    shown[:, :middle] = camera_hwc[:, :middle]
    shown[:, max(0, middle - 1) : middle + 1] = 255
    return shown


def draw_text(frame_hwc: NDArray[np.uint8], lines: list[str], recording: bool = False) -> NDArray[np.uint8]:
    """A copy of an RGB picture (uint8 ``[H, W, 3]``) with lines of text on a dark ground, top left."""
    cv2 = import_cv2()
    shown = np.ascontiguousarray(frame_hwc).copy()
    height, width = shown.shape[:2]
    scale = max(0.35, min(height / 900, width / 1200))
    row = max(12, round(32 * scale))
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(1.6 * scale))
    widest = max((cv2.getTextSize(line, font, scale, thickness)[0][0] for line in lines), default=0)
    box = shown[: min(height, row * len(lines) + row // 2), : min(width, widest + row)]
    box[:] = box // 3
    for number, line in enumerate(lines):
        place = (row // 2, row * (number + 1) - row // 8)
        cv2.putText(shown, line, place, font, scale, (255, 255, 255), thickness, cv2.LINE_AA)
    if recording:
        cv2.circle(shown, (width - row, row), row // 3, (230, 30, 30), -1, cv2.LINE_AA)
    return shown


def check_display() -> None:
    """Make sure that a window can open, because Qt ends the whole program where it cannot.

    Raises:
        OutputError: there is no display, or it does not answer.
    """
    if sys.platform != "linux":
        return
    display = os.environ.get("DISPLAY", "")
    if not display:
        raise OutputError(
            "there is no display to open a window on (DISPLAY is not set); use --headless, with "
            "--record FILE to see the result"
        )
    if not _answers(display):
        raise OutputError(
            f"the display {display} does not answer; mend DISPLAY, or use --headless, with --record FILE "
            "to see the result"
        )


def _answers(display: str) -> bool:
    """Whether an X server listens at ``[host]:number[.screen]``."""
    host, _, rest = display.rpartition(":")
    number = rest.split(".")[0]
    if not number.isdecimal():
        return False
    addresses: list[tuple[int, Any]] = []
    if host in ("", "unix"):
        path = f"/tmp/.X11-unix/X{number}"
        addresses = [(socket.AF_UNIX, path), (socket.AF_UNIX, "\0" + path)]
    elif host.startswith("/"):
        addresses = [(socket.AF_UNIX, display)] if Path(display).exists() else [(socket.AF_UNIX, host)]
    addresses.append((socket.AF_INET, (host if host not in ("", "unix") else "127.0.0.1", 6000 + int(number))))
    for family, address in addresses:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(2)
            try:
                probe.connect(address)
            except (OSError, OverflowError):
                continue
            return True
    return False


class PreviewWindow:
    """A window that shows pictures and collects keys. Use it from the main thread.

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
        self._sized = False

    def __enter__(self) -> PreviewWindow:
        check_display()
        if sys.platform == "linux" and "av" in sys.modules and "cv2" not in sys.modules:
            # Both bring libraries of the X window system; in this order Qt waits for ever.
            raise OutputError("PyAV was imported before OpenCV, whose windows freeze then: import cv2 first")
        self._cv2 = import_cv2()
        try:
            flags = self._cv2.WINDOW_NORMAL | self._cv2.WINDOW_KEEPRATIO | self._cv2.WINDOW_GUI_NORMAL
            self._cv2.namedWindow(self.title, flags)
        except self._cv2.error as error:
            raise OutputError(
                "this OpenCV cannot open windows (opencv-python-headless?): `pip uninstall -y "
                "opencv-python-headless` and `pip install --force-reinstall opencv-python`, or use --headless"
            ) from error
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(self._cv2.error):  # closed with the mouse, it is gone already
            self._cv2.destroyAllWindows()
            self._cv2.waitKey(1)  # some systems close the window in their event loop only

    def show(self, frame_hwc: NDArray[np.uint8]) -> None:
        """Show an RGB picture, uint8 ``[H, W, 3]``."""
        if not self._sized:
            self._cv2.resizeWindow(self.title, frame_hwc.shape[1], frame_hwc.shape[0])
            self._sized = True
        self._cv2.imshow(self.title, self._cv2.cvtColor(frame_hwc, self._cv2.COLOR_RGB2BGR))

    def pressed_keys(self) -> list[str]:
        """The keys pressed since the last call; ``q`` when the window was closed with the mouse."""
        pressed = []
        while (code := self._cv2.waitKeyEx(1)) != -1:
            pressed.append(key_name(code))
        return [*pressed, "q"] if self._sized and not self._is_open() else pressed

    def _is_open(self) -> bool:
        try:
            return bool(self._cv2.getWindowProperty(self.title, self._cv2.WND_PROP_VISIBLE) >= 1)
        except self._cv2.error:  # Qt: the last window is gone, and its receiver with it
            return False
