from dataclasses import replace

import pytest

from styletransfer.media.layout import BUTTONS, Rect, arrange, divider_x, fit, hit, point, slider_part, visibility
from styletransfer.media.view import ViewState

CANVAS = (1280, 720)
START = ViewState(styles=10, awake_s=100.0)


def place(canvas=CANVAS, picture=(640, 360), styles=10, style=0):
    return arrange(canvas, picture, styles, style)


def middle(rect):
    return rect.x + rect.w // 2, rect.y + rect.h // 2


def mouse(state, *events, layout=None, now_s=100.0):
    for event, place_xy in events:
        state = point(state, layout or place(), event, place_xy, now_s)
    return state


def click(state, rect, **more):
    return mouse(state, ("move", middle(rect)), ("down", middle(rect)), ("up", middle(rect)), **more)


@pytest.mark.parametrize(
    ("picture", "canvas", "where"),
    [
        ((640, 360), (1280, 720), Rect(0, 0, 1280, 720)),
        ((640, 480), (1280, 720), Rect(160, 0, 960, 720)),
        ((480, 640), (1000, 500), Rect(312, 0, 375, 500)),
        ((100, 100), (50, 80), Rect(0, 15, 50, 50)),
    ],
)
def test_the_picture_keeps_its_proportions(picture, canvas, where):
    assert fit(picture, canvas) == where


@pytest.mark.parametrize("canvas", [(320, 240), (480, 640), (640, 480), (1067, 800), (1280, 720), (1920, 1080)])
@pytest.mark.parametrize("styles", [1, 3, 10, 60])
def test_everything_is_on_the_canvas_and_nothing_covers_anything(canvas, styles):
    layout = place(canvas, styles=styles, style=styles - 1)
    boxes = [*layout.buttons.values(), *layout.thumbs.values(), *layout.sliders.values()]
    for box in boxes:
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.w <= canvas[0]
        assert box.y + box.h <= canvas[1]
        assert box.w > 3
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            apart = a.x + a.w <= b.x or b.x + b.w <= a.x or a.y + a.h <= b.y or b.y + b.h <= a.y
            assert apart, (a, b)
    assert set(layout.buttons) == set(BUTTONS)
    assert styles == 1 or styles - 1 in layout.thumbs, "the style that is shown must be on the strip"


def test_a_click_on_a_thumbnail_chooses_its_style():
    assert click(START, place().thumbs[4]).style == 4


@pytest.mark.parametrize(
    ("button", "name", "value"),
    [
        ("mirror", "mirror", True),
        ("colours", "keep_colors", True),
        ("split", "split", True),
        ("person", "style_on", "person"),
        ("recording", "recording", True),
        ("snapshot", "snapshots", 1),
        ("full_screen", "full_screen", True),
        ("info", "info", 2),
        ("help", "help", True),
    ],
)
def test_buttons_do_what_their_keys_do(button, name, value):
    assert getattr(click(START, place().buttons[button]), name) == value


@pytest.mark.parametrize("name", ["strength", "stroke"])
def test_sliders_follow_the_mouse_even_off_their_track(name):
    track = place().sliders[name]
    state = mouse(START, ("move", middle(track)), ("down", middle(track)))
    assert state.drag == name
    assert slider_part(state, name) == pytest.approx(0.5, abs=0.03)
    state = mouse(state, ("move", (track.x - 90, 10)))
    assert slider_part(state, name) == pytest.approx(0.0, abs=0.01)
    state = mouse(state, ("move", (track.x + track.w + 300, 700)), ("up", (0, 0)), ("move", (track.x, 400)))
    assert slider_part(state, name) == pytest.approx(1.0, abs=0.01)
    assert state.drag == ""


def test_the_divider_is_dragged():
    layout = place()
    state = replace(START, split=True)
    start = (divider_x(state, layout), 300)
    state = mouse(state, ("move", start), ("down", start), ("move", (960, 300)), ("up", (960, 300)))
    assert state.divider == pytest.approx(0.75, abs=0.01)
    assert hit(replace(state, split=False), layout, 960, 300) == ""


def test_a_double_click_on_the_picture_fills_the_screen():
    assert mouse(START, ("double", (600, 200))).full_screen
    assert not mouse(START, ("double", middle(place().thumbs[2]))).full_screen


def test_controls_fade_while_the_mouse_rests_and_come_back_when_it_moves():
    layout, away = place(), (600, 200)
    state = mouse(START, ("move", away))
    assert visibility(state, layout, 101.0) == 1
    assert 0 < visibility(state, layout, 102.8) < 1
    assert visibility(state, layout, 110.0) == 0
    # The same place again is no movement: some systems send it all the time.
    assert visibility(mouse(state, ("move", away), now_s=110.0), layout, 110.0) == 0
    assert visibility(mouse(state, ("move", (601, 200)), now_s=110.0), layout, 110.0) == 1


def test_controls_stay_under_the_mouse_and_while_something_is_dragged():
    layout = place()
    over = mouse(START, ("move", middle(layout.thumbs[1])))
    assert visibility(over, layout, 120.0) == 1
    assert visibility(replace(START, drag="strength"), layout, 500.0) == 1
    assert visibility(replace(over, bare=True), layout, 100.1) == 0


def test_a_first_touch_shows_the_controls_and_presses_nothing():
    state = point(START, place(), "down", middle(place().thumbs[4]), now_s=200.0)
    assert state.style == 0
    assert visibility(state, place(), 200.0) == 1
    assert point(state, place(), "down", middle(place().thumbs[4]), now_s=200.5).style == 4


def test_a_click_closes_the_help():
    assert not click(replace(START, help=True), place().thumbs[4]).help
