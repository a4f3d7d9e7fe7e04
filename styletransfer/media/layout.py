"""Where the live window's controls are, and what the mouse does there: pure functions on rectangles and states."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from styletransfer.media.view import (
    STROKE_RANGE,
    ViewState,
    choose,
    perform,
    set_divider,
    set_strength,
    set_stroke,
)

BUTTONS = ("person", "colours", "mirror", "split", "snapshot", "recording", "info", "full_screen", "help")
SLIDERS = ("strength", "stroke")

_STAY_S = 2.6  # controls stay so long after the mouse came to rest
_FADE_S = 0.45
_LOW, _HIGH = STROKE_RANGE


@dataclass(frozen=True)
class Rect:
    """A rectangle in pixels."""

    x: int
    y: int
    w: int
    h: int

    def holds(self, x: float, y: float, margin: int = 0) -> bool:
        """Whether a point is inside, or at most ``margin`` pixels outside."""
        return self.x - margin <= x < self.x + self.w + margin and self.y - margin <= y < self.y + self.h + margin


@dataclass(frozen=True)
class Layout:
    """Places of everything on a canvas, pixels.

    Attributes:
        canvas_wh: size of the canvas.
        unit: the size that a pixel of the design has here.
        picture: where the picture lies; the rest is black.
        controls: the area of all controls, over which they do not fade.
        sliders: the tracks, by name.
        buttons: by command.
        thumbs: style number to place; those that are on the strip at the moment.
    """

    canvas_wh: tuple[int, int]
    unit: float
    picture: Rect
    controls: Rect
    sliders: dict[str, Rect]
    buttons: dict[str, Rect]
    thumbs: dict[int, Rect]


def fit(picture_wh: tuple[int, int], canvas_wh: tuple[int, int]) -> Rect:
    """The largest place for a picture in the middle of a canvas, its proportions kept."""
    factor = min(canvas_wh[0] / picture_wh[0], canvas_wh[1] / picture_wh[1])
    width, height = (max(1, min(c, round(p * factor))) for p, c in zip(picture_wh, canvas_wh, strict=True))
    return Rect((canvas_wh[0] - width) // 2, (canvas_wh[1] - height) // 2, width, height)


def arrange(canvas_wh: tuple[int, int], picture_wh: tuple[int, int], styles: int, style: int) -> Layout:
    """Place everything on a canvas for pictures of a size, ``styles`` styles, of which ``style`` is shown."""
    width, height = canvas_wh
    unit = min(2.0, max(0.55, min(height / 720, width / 1000)))

    def px(size: float) -> int:
        return max(1, round(size * unit))

    margin, bottom = px(18), height - px(16)
    thumbs, top = _strip(canvas_wh, styles, style, unit, bottom) if styles > 1 else ({}, bottom)
    side, gap = px(38), px(8)
    row = top - px(12) - side
    buttons, x = {}, width - margin - len(BUTTONS) * side - (len(BUTTONS) - 1) * gap
    left_of_buttons = x - px(26)
    for name in BUTTONS:
        buttons[name] = Rect(x, row, side, side)
        x += side + gap
    room = left_of_buttons - margin
    in_one_row = room >= px(300)
    slider_row = row if in_one_row else row - px(10) - side
    if not in_one_row:
        room = width - 2 * margin
    length = min(px(210), (room - px(30)) // 2)
    sliders = {
        name: Rect(margin + place * (length + px(30)), slider_row + side - px(12), length, px(4))
        for place, name in enumerate(SLIDERS)
    }
    top = slider_row - px(14)
    return Layout(
        canvas_wh, unit, fit(picture_wh, canvas_wh), Rect(0, top, width, height - top), sliders, buttons, thumbs
    )


def _strip(
    canvas_wh: tuple[int, int], styles: int, style: int, unit: float, bottom: int
) -> tuple[dict[int, Rect], int]:
    """As many thumbnails as fit, the shown style among them; and the strip's upper edge."""
    width, height = round(100 * unit), round(64 * unit)
    gap, margin = round(10 * unit), round(18 * unit)
    fitting = max(1, min(styles, (canvas_wh[0] - 2 * margin + gap) // (width + gap)))
    first = min(max(0, style - fitting // 2), styles - fitting)
    left = (canvas_wh[0] - fitting * width - (fitting - 1) * gap) // 2
    top = bottom - height
    return {first + i: Rect(left + i * (width + gap), top, width, height) for i in range(fitting)}, top


def visibility(state: ViewState, layout: Layout, now_s: float) -> float:
    """How far the controls are there, 0 (faded out) .. 1."""
    if state.bare:
        return 0.0
    if state.drag or (state.pointer is not None and now_s - state.awake_s < 60 and over_controls(state, layout)):
        return 1.0
    return min(1.0, max(0.0, 1 - (now_s - state.awake_s - _STAY_S) / _FADE_S))


def over_controls(state: ViewState, layout: Layout) -> bool:
    """Whether the mouse rests on the controls."""
    return state.pointer is not None and layout.controls.holds(*state.pointer)


def hit(state: ViewState, layout: Layout, x: int, y: int) -> str:
    """What is under a point: ``thumb:3``, ``slider:strength``, ``button:mirror``, ``divider``, or nothing."""
    reach = round(12 * layout.unit)
    for number, place in layout.thumbs.items():
        if place.holds(x, y):
            return f"thumb:{number}"
    for name, place in layout.buttons.items():
        if place.holds(x, y, reach // 4):
            return f"button:{name}"
    for name, place in layout.sliders.items():
        if place.holds(x, y, reach):
            return f"slider:{name}"
    if state.split and abs(x - divider_x(state, layout)) <= reach and layout.picture.holds(x, y):
        return "divider"
    return ""


def divider_x(state: ViewState, layout: Layout) -> int:
    """Where the divider is on the canvas."""
    return layout.picture.x + round(layout.picture.w * state.divider)


def point(state: ViewState, layout: Layout, event: str, place_xy: tuple[int, int], now_s: float = 0.0) -> ViewState:
    """The state after the mouse did something.

    Args:
        state: the state before.
        layout: where everything is.
        event: ``move``, ``down``, ``up`` or ``double``.
        place_xy: where, pixels of the canvas.
        now_s: the time.
    """
    if event == "move" and not state.drag and place_xy == state.pointer:
        return state
    was_visible = visibility(state, layout, now_s) > 0.2
    state = replace(state, pointer=place_xy, awake_s=now_s)
    if event == "move":
        return _dragged(state, layout, place_xy) if state.drag else state
    if event == "up":
        return replace(state, drag="")
    if state.help:
        return replace(state, help=False)
    target = hit(state, layout, *place_xy)
    if not was_visible and target != "divider":  # a first touch shows the controls, it does not press them
        target = ""
    if event == "double" and not target and not over_controls(state, layout):
        return perform(state, "full_screen")
    return _pressed(state, layout, target, now_s)


def _pressed(state: ViewState, layout: Layout, target: str, now_s: float) -> ViewState:
    kind, _, name = target.partition(":")
    if kind == "thumb":
        return choose(state, int(name), now_s)
    if kind == "button":
        return perform(state, name)
    if kind in ("slider", "divider"):
        assert state.pointer is not None
        return _dragged(replace(state, drag=name or kind), layout, state.pointer)
    return state


def _dragged(state: ViewState, layout: Layout, place_xy: tuple[int, int]) -> ViewState:
    if state.drag == "divider":
        return set_divider(state, (place_xy[0] - layout.picture.x) / layout.picture.w)
    track = layout.sliders[state.drag]
    part = min(1.0, max(0.0, (place_xy[0] - track.x) / track.w))
    return set_strength(state, part) if state.drag == "strength" else set_stroke(state, _LOW * (_HIGH / _LOW) ** part)


def slider_part(state: ViewState, name: str) -> float:
    """Where a slider's knob is, 0 .. 1; stroke sizes lie on a logarithmic scale."""
    return state.strength if name == "strength" else math.log(state.stroke / _LOW) / math.log(_HIGH / _LOW)
