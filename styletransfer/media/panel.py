"""The live window's controls: sliders, buttons, thumbnails, and what the mouse is told about them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from styletransfer.media.drawing import (
    BLACK,
    WHITE,
    Canvas,
    disc,
    icon,
    rounded,
    shade,
    soft_disc,
    stamp,
    stamp_picture,
    text_width,
    write,
)
from styletransfer.media.layout import Layout, Rect, hit, slider_part
from styletransfer.media.opencv import import_cv2
from styletransfer.media.view import ViewState

# Blue, green, red, as OpenCV's windows want them.
ACCENT = (70, 200, 255)
RED = (64, 72, 255)
_INK = (30, 22, 12)
_SLATE = (52, 48, 44)

_TIPS = {
    "person": "B  style on: ",
    "colours": "C  camera's colours",
    "mirror": "M  mirror",
    "split": "S  split view",
    "snapshot": "Space  snapshot",
    "recording": "R  record",
    "info": "I  figures",
    "full_screen": "F  full screen",
    "help": "H  keys",
}


@dataclass(frozen=True)
class Told:
    """What the application has to say at the moment.

    Attributes:
        titles: each style's name, for people.
        subtitles: each style's painter and year, or nothing.
        thumbnails: RGB uint8 ``[H, W, 3]`` pictures of those styles that have one already.
        figures: lines for the corner; the first one is the short form.
        trouble: what is wrong at the moment, empty for nothing.
        note: what was just done, such as a file's name.
        noted_s: when it was done.
        flash_s: when the last snapshot was taken.
        recorded_s: how long the recording is, None where there is none.
        can_mask: there is a mask network.
    """

    titles: tuple[str, ...]
    subtitles: tuple[str, ...] = ()
    thumbnails: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    figures: tuple[str, ...] = ()
    trouble: str = ""
    note: str = ""
    noted_s: float = -1e9
    flash_s: float = -1e9
    recorded_s: float | None = None
    can_mask: bool = True


@dataclass(frozen=True)
class _Pen:
    """What everything here is drawn with."""

    canvas: Canvas
    state: ViewState
    layout: Layout
    told: Told
    seen: float
    under: str

    def px(self, size: float) -> int:
        return max(1, round(size * self.layout.unit))


def draw_controls(canvas: Canvas, state: ViewState, layout: Layout, told: Told, seen: float) -> None:
    """Draw all controls onto a canvas (BGR uint8 ``[H, W, 3]``), in place; ``seen`` is their opacity."""
    under = hit(state, layout, *state.pointer) if state.pointer is not None else ""
    pen = _Pen(canvas, state, layout, told, seen, under)
    shade(canvas, layout.controls.y - pen.px(46), layout.canvas_wh[1], (0.0, 0.74), seen)
    _slider(pen, "strength", "Strength", f"{state.strength:.0%}")
    _slider(pen, "stroke", "Stroke size", f"{state.stroke:.2g}x")
    for name in layout.buttons:
        _button(pen, name)
    for number in layout.thumbs:
        _thumbnail(pen, number)
    kind, _, name = under.partition(":")
    if kind == "button":
        _tip(pen, _tip_of(pen, name), layout.buttons[name])
    elif kind == "thumb":
        _tip(pen, told.titles[int(name)], layout.thumbs[int(name)])


def draw_knob(canvas: Canvas, x: int, y: int, size: int, opacity: float = 1.0) -> None:
    """A white disc with a soft shadow, its centre at x, y."""
    shadow = soft_disc(size + 4)
    stamp(canvas, shadow, (x - shadow.shape[1] // 2, y - shadow.shape[0] // 2), BLACK, 0.55 * opacity)
    stamp(canvas, disc(size), (x - size // 2, y - size // 2), WHITE, opacity)


def _tip_of(pen: _Pen, name: str) -> str:
    if name != "person":
        return _TIPS[name]
    return _TIPS[name] + pen.state.style_on if pen.told.can_mask else "B  needs --mask-model FILE.onnx"


def _tip(pen: _Pen, text: str, place: Rect) -> None:
    size, pad = pen.px(13), pen.px(9)
    width, height = text_width(text, size) + 2 * pad, round(size * 1.3) + pad
    x = min(max(pad, place.x + (place.w - width) // 2), pen.layout.canvas_wh[0] - width - pad)
    y = place.y - height - pen.px(7)
    stamp(pen.canvas, rounded(width, height, pen.px(7)), (x, y), BLACK, 0.8 * pen.seen)
    write(pen.canvas, text, x + pad, y + pad // 2, size, opacity=pen.seen, shadow=False)


def _slider(pen: _Pen, name: str, label: str, value: str) -> None:
    canvas, place, seen = pen.canvas, pen.layout.sliders[name], pen.seen
    size, text_y = pen.px(14), place.y - pen.px(27)
    write(canvas, label, place.x, text_y, size, opacity=0.92 * seen)
    write(canvas, value, place.x + place.w, text_y, size, opacity=0.92 * seen, align="right")
    stamp(canvas, rounded(place.w, place.h, place.h // 2), (place.x, place.y), WHITE, 0.32 * seen)
    filled = round(place.w * slider_part(pen.state, name))
    if filled > place.h:
        stamp(canvas, rounded(filled, place.h, place.h // 2), (place.x, place.y), ACCENT, seen)
    is_active = pen.under == f"slider:{name}" or pen.state.drag == name
    draw_knob(canvas, place.x + filled, place.y + place.h // 2, pen.px(19 if is_active else 15), seen)


def _button(pen: _Pen, name: str) -> None:
    state, place = pen.state, pen.layout.buttons[name]
    lit = {"person": state.needs_mask, "colours": state.keep_colors, "info": state.info > 0, "snapshot": False}
    is_on = lit.get(name, bool(getattr(state, name, False)))
    plate = WHITE if not is_on else RED if name == "recording" else ACCENT
    strength = 0.92 if is_on else 0.32 if pen.under == f"button:{name}" else 0.17
    stamp(pen.canvas, disc(place.w), (place.x, place.y), plate, strength * pen.seen)
    side = pen.px(21)
    corner = (place.x + (place.w - side) // 2, place.y + (place.h - side) // 2)
    faint = 0.4 if name == "person" and not pen.told.can_mask else 1.0
    stamp(pen.canvas, icon(name, side), corner, _INK if plate is ACCENT else WHITE, faint * pen.seen)


def _thumbnail(pen: _Pen, number: int) -> None:
    canvas, seen, place = pen.canvas, pen.seen, pen.layout.thumbs[number]
    is_chosen, radius = number == pen.state.style, pen.px(9)
    if is_chosen or pen.under == f"thumb:{number}":
        edge = max(2, pen.px(3 if is_chosen else 1.5))
        outer = rounded(place.w + 2 * edge, place.h + 2 * edge, radius + edge)
        stamp(canvas, outer, (place.x - edge, place.y - edge), ACCENT if is_chosen else WHITE, seen)
    mask, picture = rounded(place.w, place.h, radius), pen.told.thumbnails.get(number)
    if picture is None:
        stamp(canvas, mask, (place.x, place.y), _SLATE, 0.85 * seen)
        middle = place.x + place.w // 2
        write(canvas, "...", middle, place.y + place.h // 3, pen.px(15), opacity=seen, align="middle")
    else:
        cv2 = import_cv2()
        small = cv2.resize(picture, (place.w, place.h), interpolation=cv2.INTER_AREA)
        stamp_picture(canvas, cv2.cvtColor(small, cv2.COLOR_RGB2BGR), mask, (place.x, place.y), seen)
    if number < 10:
        badge, x, y = pen.px(19), place.x + pen.px(5), place.y + pen.px(5)
        stamp(canvas, rounded(badge, badge, pen.px(6)), (x, y), BLACK, 0.55 * seen)
        key, size = str((number + 1) % 10), pen.px(12.5)
        write(canvas, key, x + badge // 2, y + pen.px(1.5), size, opacity=seen, align="middle", shadow=False)
