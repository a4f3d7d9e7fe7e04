"""What the live window draws over the picture: controls, thumbnails, figures, messages, help."""

from __future__ import annotations

import time

import numpy as np

from styletransfer.media.drawing import BLACK, WHITE, Canvas, disc, rounded, stamp, text_width, write
from styletransfer.media.layout import Layout, divider_x, visibility
from styletransfer.media.opencv import import_cv2
from styletransfer.media.panel import RED, Told, draw_controls, draw_knob
from styletransfer.media.view import HELP, ViewState

_TITLE_S = 2.6
_NOTE_S = 3.0
_FADE_S = 0.5
_FLASH_S = 0.25


def draw(canvas: Canvas, state: ViewState, layout: Layout, told: Told, now_s: float | None = None) -> None:
    """Draw everything that belongs over the picture onto a canvas (BGR uint8 ``[H, W, 3]``), in place."""
    now_s = time.perf_counter() if now_s is None else now_s
    if state.split:
        _divider(canvas, state, layout)
    if not state.bare:
        _title(canvas, state, layout, told, now_s)
        _figures(canvas, state, layout, told)
        seen = visibility(state, layout, now_s)
        if seen > 0:
            draw_controls(canvas, state, layout, told, seen)
    _recording(canvas, layout, told)
    if state.help:
        _help(canvas, layout)
    _messages(canvas, state, layout, told, now_s)
    flash = _fading(now_s - told.flash_s, 0.0, _FLASH_S)
    if flash > 0:
        cv2 = import_cv2()
        cv2.addWeighted(canvas, 1 - 0.8 * flash, canvas, 0, 255 * 0.8 * flash, dst=canvas)


def is_moving(state: ViewState, layout: Layout, told: Told, now_s: float) -> bool:
    """Whether what is drawn changes by itself: something fades."""
    return (
        0 < visibility(state, layout, now_s) < 1
        or -0.1 < now_s - state.awake_s < 4
        or now_s - told.noted_s < _NOTE_S + _FADE_S
        or now_s - told.flash_s < _FLASH_S
        or now_s - state.chosen_s < _TITLE_S + _FADE_S
    )


def _fading(age_s: float, stay_s: float, fade_s: float = _FADE_S) -> float:
    """1 for a while, then down to 0."""
    return 0.0 if age_s < 0 else min(1.0, max(0.0, 1 - (age_s - stay_s) / fade_s))


def _divider(canvas: Canvas, state: ViewState, layout: Layout) -> None:
    x, place = divider_x(state, layout), layout.picture
    width = max(2, round(2.5 * layout.unit))
    canvas[place.y : place.y + place.h, max(0, x - width // 2 - 1) : x + (width + 1) // 2 + 1] //= 2
    canvas[place.y : place.y + place.h, max(0, x - width // 2) : x + (width + 1) // 2] = 255
    size = round(30 * layout.unit)
    middle = place.y + place.h // 2
    draw_knob(canvas, x, middle, size)
    arm, gap = round(4 * layout.unit), round(3 * layout.unit)
    cv2 = import_cv2()
    for sign in (-1, 1):
        tip = x + sign * (gap + arm)
        for end in (-arm, arm):
            ends = ((tip - sign * arm, middle + end), (tip, middle))
            cv2.line(canvas, *ends, (60, 60, 60), max(1, round(1.6 * layout.unit)), cv2.LINE_AA)


def _title(canvas: Canvas, state: ViewState, layout: Layout, told: Told, now_s: float) -> None:
    seen = _fading(now_s - state.chosen_s, _TITLE_S)
    if seen <= 0:
        return
    unit, margin = layout.unit, round(20 * layout.unit)
    y = round(16 * unit)
    write(canvas, told.titles[state.style], margin, y, round(27 * unit), opacity=seen)
    if state.style < len(told.subtitles):
        y += round(37 * unit)
        write(canvas, told.subtitles[state.style], margin, y, round(15 * unit), opacity=0.9 * seen)


def _figures(canvas: Canvas, state: ViewState, layout: Layout, told: Told) -> None:
    lines = told.figures[:1] if state.info == 1 else told.figures if state.info == 2 else ()
    if not lines:
        return
    unit = layout.unit
    size, step, pad = round(13.5 * unit), round(20 * unit), round(11 * unit)
    width = max(text_width(line, size) for line in lines) + 2 * pad
    width = -(-width // 16) * 16  # figures change their width all the time: the plate should not
    height = step * len(lines) + round(9 * unit)
    x, y = layout.canvas_wh[0] - width - round(14 * unit), round(14 * unit)
    stamp(canvas, rounded(width, height, round(10 * unit)), (x, y), BLACK, 0.5)
    for number, line in enumerate(lines):
        line_y = y + round(5 * unit) + number * step
        write(canvas, line, x + pad, line_y, size, opacity=0.95 if number == 0 else 0.8, shadow=False)


def _recording(canvas: Canvas, layout: Layout, told: Told) -> None:
    if told.recorded_s is None:
        return
    unit, size = layout.unit, round(15 * layout.unit)
    label = f"{int(told.recorded_s) // 60:d}:{int(told.recorded_s) % 60:02d}"
    width = text_width(label, size) + round(46 * unit)
    x, y, height = (layout.canvas_wh[0] - width) // 2, round(14 * unit), round(30 * unit)
    stamp(canvas, rounded(width, height, height // 2), (x, y), BLACK, 0.55)
    dot = round(11 * unit)
    pulse = 0.75 + 0.25 * np.cos(told.recorded_s * 2 * np.pi)
    stamp(canvas, disc(dot), (x + round(14 * unit), y + (height - dot) // 2), RED, float(pulse))
    write(canvas, label, x + round(32 * unit), y + round(5 * unit), size, shadow=False)


def _messages(canvas: Canvas, state: ViewState, layout: Layout, told: Told, now_s: float) -> None:
    unit = layout.unit
    seen = 1.0 if told.trouble else _fading(now_s - told.noted_s, _NOTE_S)
    text = told.trouble or told.note
    if not text or seen <= 0:
        return
    size = round(16 * unit)
    while text_width(text, size) > layout.canvas_wh[0] * 0.92 and size > 9:
        size -= 1
    width, height = text_width(text, size) + round(36 * unit), round(size * 1.3) + round(18 * unit)
    above = visibility(state, layout, now_s) > 0
    bottom = layout.controls.y if above else layout.canvas_wh[1] - round(20 * unit)
    x, y = (layout.canvas_wh[0] - width) // 2, bottom - height - round(12 * unit)
    stamp(canvas, rounded(width, height, height // 2), (x, y), (24, 30, 120) if told.trouble else BLACK, 0.72 * seen)
    write(canvas, text, layout.canvas_wh[0] // 2, y + round(9 * unit), size, opacity=seen, align="middle", shadow=False)


def _help(canvas: Canvas, layout: Layout) -> None:
    width, height = layout.canvas_wh
    unit = min(layout.unit, height / 450, width / 860)
    columns = (HELP[: (len(HELP) + 1) // 2], HELP[(len(HELP) + 1) // 2 :])
    row = round(33 * unit)
    panel_w, panel_h = round(820 * unit), row * len(columns[0]) + round(90 * unit)
    x, y = (width - panel_w) // 2, max(0, (height - panel_h) // 2)
    import_cv2().convertScaleAbs(canvas, dst=canvas, alpha=0.5)
    stamp(canvas, rounded(panel_w, panel_h, round(18 * unit)), (x, y), (26, 21, 18), 0.9)
    write(canvas, "Keys", x + round(32 * unit), y + round(18 * unit), round(23 * unit), shadow=False)
    for number, column in enumerate(columns):
        left = x + round((32 + 395 * number) * unit)
        for line, (keys, does) in enumerate(column):
            top = y + round(68 * unit) + line * row
            _keys(canvas, keys, (left, top), unit)
            write(canvas, does, left + round(146 * unit), top, round(15 * unit), opacity=0.92, shadow=False)


def _keys(canvas: Canvas, keys: str, corner_xy: tuple[int, int], unit: float) -> None:
    x, y = corner_xy
    for key in keys.split("  "):
        size = round(13 * unit)
        width = max(round(26 * unit), text_width(key, size) + round(14 * unit))
        stamp(canvas, rounded(width, round(25 * unit), round(6 * unit)), (x, y - round(3 * unit)), WHITE, 0.18)
        write(canvas, key, x + width // 2, y + round(1.5 * unit), size, align="middle", shadow=False)
        x += width + round(5 * unit)
