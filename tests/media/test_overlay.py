from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("cv2")

from styletransfer.media.drawing import icon, rounded, shade, stamp, text_mask, text_width, write
from styletransfer.media.layout import BUTTONS, arrange, divider_x
from styletransfer.media.overlay import draw, is_moving
from styletransfer.media.panel import Told
from styletransfer.media.view import ViewState
from styletransfer.media.window import Composer

CANVAS = (960, 540)
TOLD = Told(titles=("Starry Night", "Udnie", "Café Terrace"), subtitles=("Vincent van Gogh, 1889", "", ""))
RESTING = ViewState(styles=3, awake_s=-100.0, chosen_s=-100.0, info=0)


def layout_of(state, canvas=CANVAS):
    return arrange(canvas, (640, 360), state.styles, state.style)


def drawn(state=RESTING, told=TOLD, now_s=0.0, grey=120, canvas=CANVAS):
    picture = np.full((canvas[1], canvas[0], 3), grey, np.uint8)
    draw(picture, state, layout_of(state, canvas), told, now_s)
    return picture


def changed(picture, grey=120):
    return (np.abs(picture.astype(int) - grey) > 3).any(axis=2)


def test_a_resting_window_shows_the_picture_and_nothing_else():
    assert not changed(drawn()).any()
    assert not is_moving(RESTING, layout_of(RESTING), TOLD, 0.0)


def test_controls_appear_below_and_leave_the_picture_above_alone():
    awake = replace(RESTING, awake_s=0.0)
    seen = changed(drawn(awake))
    assert seen[layout_of(awake).controls.y :].mean() > 0.5
    assert not seen[: CANVAS[1] // 2].any()
    assert is_moving(awake, layout_of(awake), TOLD, 0.0)
    assert not changed(drawn(replace(awake, bare=True))).any()


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_text_can_be_read_on_any_background(grey):
    picture = drawn(replace(RESTING, awake_s=0.0, chosen_s=0.0, info=1), replace(TOLD, figures=("30 fps",)), grey=grey)
    title = picture[16:60, 16:200]
    assert int(title.max()) - int(title.min()) > 150
    corner = picture[12:40, -120:]
    assert int(corner.max()) - int(corner.min()) > 110


def test_the_state_of_a_control_can_be_seen():
    awake = replace(RESTING, awake_s=0.0)
    off, on = drawn(awake), drawn(replace(awake, mirror=True))
    place = layout_of(awake).buttons["mirror"]
    button = (slice(place.y, place.y + place.h), slice(place.x, place.x + place.w))
    assert np.abs(off[button].astype(int) - on[button]).max() > 60
    outside = off.copy()
    outside[button] = on[button]
    assert (outside == on).all(), "and nothing else changes"


def test_sliders_show_their_values():
    awake = replace(RESTING, awake_s=0.0)
    assert (drawn(awake) != drawn(replace(awake, strength=0.4))).any()
    assert (drawn(awake) != drawn(replace(awake, stroke=2.0))).any()


def test_thumbnails_are_shown_when_they_are_there():
    awake = replace(RESTING, awake_s=0.0)
    red = np.zeros((128, 200, 3), np.uint8)
    red[..., 0] = 220
    place = layout_of(awake).thumbs[1]
    picture = drawn(awake, replace(TOLD, thumbnails={1: red}))
    spot = picture[place.y + place.h // 2, place.x + place.w // 2]
    assert spot[2] > 190 > 40 > spot[0], "pictures are RGB, the canvas BGR"


def test_help_messages_flash_and_recording_are_drawn():
    assert changed(drawn(replace(RESTING, help=True))).mean() > 0.9
    trouble = drawn(told=replace(TOLD, trouble="camera 0 is gone: trying to open it again"))
    assert changed(trouble)[CANVAS[1] * 3 // 4 :].any()
    assert drawn(told=replace(TOLD, flash_s=0.0)).mean() > 200
    assert changed(drawn(told=replace(TOLD, recorded_s=3.0)))[:50].any()
    note = replace(TOLD, note="snapshot: a.png", noted_s=0.0)
    assert changed(drawn(told=note)).any()
    assert not changed(drawn(told=note, now_s=9.0)).any(), "notes go by themselves"


@pytest.mark.parametrize("canvas", [(160, 120), (320, 240), (640, 480), (1920, 1080), (500, 1100)])
def test_all_of_it_fits_any_window(canvas):
    state = ViewState(styles=3, split=True, info=2, pointer=(canvas[0] - 60, canvas[1] - 100), help=True)
    told = replace(TOLD, figures=("a" * 40,) * 6, trouble="no picture " * 9, recorded_s=75.0)
    drawn(state, told, canvas=canvas)
    layout = arrange(canvas, (640, 360), 3, 0)
    for name, place in layout.buttons.items():
        drawn(replace(state, pointer=(place.x + 3, place.y + 3), help=False), told, canvas=canvas), name


def test_split_view_shows_the_camera_left_and_the_style_right():
    camera, style = np.full((40, 60, 3), (10, 20, 30), np.uint8), np.full((40, 60, 3), (200, 150, 100), np.uint8)
    layout = arrange((600, 500), (60, 40), 1, 0)
    composer = Composer()
    canvas = composer.compose((600, 500), layout.picture, camera, style, 0.25)
    assert (canvas[250, 10:140] == (30, 20, 10)).all()
    assert (canvas[250, 160:] == (100, 150, 200)).all()
    assert (canvas[:49] == 0).all(), "black above a picture that is flatter than the window"
    whole = composer.compose((600, 500), layout.picture, camera, style, None)
    assert (whole[250] == (100, 150, 200)).all()
    state = replace(RESTING, split=True, divider=0.25)
    draw(canvas, state, layout, TOLD, 0.0)
    assert (canvas[60, divider_x(state, layout)] == 255).all()
    assert (camera == (10, 20, 30)).all()
    assert (style == (200, 150, 100)).all(), "the pictures themselves must stay clean for snapshots"


def test_a_window_that_changes_its_size_gets_a_new_canvas():
    composer, picture = Composer(), np.full((40, 60, 3), 200, np.uint8)
    for canvas_wh in ((300, 200), (500, 500), (200, 300)):
        layout = arrange(canvas_wh, (60, 40), 1, 0)
        canvas = composer.compose(canvas_wh, layout.picture, picture, picture, None)
        assert canvas.shape == (canvas_wh[1], canvas_wh[0], 3)
        assert (canvas == 200).all(axis=2).sum() == layout.picture.w * layout.picture.h


def test_stamps_are_cut_at_the_edges():
    mask = rounded(20, 20, 5)
    for corner in ((-10, -10), (95, 45), (-30, 0), (200, 200)):
        canvas = np.zeros((50, 100, 3), np.uint8)
        stamp(canvas, mask, corner, (255, 255, 255))
        inside = corner in ((-10, -10), (95, 45))
        assert canvas.any() == inside


def test_colours_mix_by_opacity():
    canvas = np.full((10, 10, 3), 100, np.uint8)
    stamp(canvas, np.full((10, 10), 255, np.uint8), (0, 0), (200, 0, 100), 0.5)
    assert np.abs(canvas[5, 5].astype(int) - (150, 50, 100)).max() <= 2


def test_shade_darkens_downwards():
    canvas = np.full((100, 10, 3), 200, np.uint8)
    shade(canvas, 20, 100, (0.0, 0.5))
    column = canvas[:, 0, 0].astype(int)
    assert (column[:21] == 200).all()
    assert column[99] == 100
    assert (np.diff(column[20:]) <= 0).all()


def test_accents_that_the_font_lacks_are_left_out_and_nothing_fails():
    assert (text_mask("Café", 20) == text_mask("Cafe", 20)).all()
    assert text_width("日本", 20) > 0
    canvas = np.zeros((40, 200, 3), np.uint8)
    assert write(canvas, "", 5, 5, 16) >= 0
    assert write(canvas, "right", 195, 5, 16, align="right") > 20
    assert canvas[:, 150:].any()


@pytest.mark.parametrize("name", BUTTONS)
def test_every_button_has_an_icon_of_its_own(name):
    mask = icon(name, 24)
    assert 8 < mask.mean() < 160
    assert all((icon(other, 24) != mask).any() for other in BUTTONS if other != name)
