import pytest

from styletransfer.media.view import HELP, ViewState, choose, key_name, press


def pressed(*keys, **state):
    view = ViewState(**{"styles": 3, **state})
    for key in keys:
        view = press(view, key, now_s=7.0)
    return view


@pytest.mark.parametrize(
    ("keys", "name", "value"),
    [
        (["n"], "style", 1),
        (["right", "n", "n"], "style", 0),
        (["p"], "style", 2),
        (["left", "right"], "style", 0),
        (["3"], "style", 2),
        (["3", "1"], "style", 0),
        (["-"], "strength", 0.9),
        (["[", "_", "+"], "strength", 0.9),
        (["+", "]", "=", "up"], "strength", 1.0),
        (["-"] * 14 + ["down"], "strength", 0.0),
        (["-"] * 10 + ["+"] * 3, "strength", 0.3),
        (["."], "stroke", 1.25),
        ([".", ","], "stroke", 1.0),
        (["."] * 9, "stroke", 3.0),
        ([","] * 9, "stroke", 0.5),
        (["s"], "split", True),
        (["s", "s"], "split", False),
        (["l"], "divider", 0.55),
        (["l"], "split", True),
        (["j"] * 30, "divider", 0.02),
        (["c"], "keep_colors", True),
        (["m"], "mirror", True),
        (["b"], "style_on", "person"),
        (["b", "b"], "style_on", "background"),
        (["b", "b", "b"], "style_on", "both"),
        (["v", "v"], "background", 1),
        (["v"] * 4, "background", -1),
        (["h"], "help", True),
        (["h", "?"], "help", False),
        (["i"], "info", 2),
        (["i", "i"], "info", 0),
        (["tab"], "bare", True),
        (["f"], "full_screen", True),
        (["t"], "thumbnails", 1),
        (["space", "space"], "snapshots", 2),
        (["r"], "recording", True),
        (["r", "r"], "recording", False),
        (["q"], "quit", True),
        (["escape"], "quit", True),
    ],
)
def test_keys_do_what_the_help_says(keys, name, value):
    assert getattr(pressed(*keys), name) == pytest.approx(value)


def test_escape_takes_one_thing_back_at_a_time():
    view = pressed("f", "h", "escape")
    assert (view.help, view.full_screen, view.quit) == (False, True, False)
    view = press(view, "escape")
    assert (view.full_screen, view.quit) == (False, False)
    assert press(view, "escape").quit


@pytest.mark.parametrize("key", ["x", "", "F1", "4", "0"])
def test_other_keys_do_nothing(key):
    assert pressed(key) == ViewState(styles=3)


def test_zero_is_the_tenth_style():
    assert pressed("0", styles=12).style == 9


def test_a_style_that_there_is_not_cannot_be_chosen():
    assert choose(ViewState(styles=3), 3).style == 0
    assert choose(ViewState(styles=3), -1).style == 0


def test_the_mask_is_needed_only_where_person_and_background_differ():
    assert not ViewState(styles=3).needs_mask
    assert not ViewState(styles=3, style=1, background=1).needs_mask
    assert ViewState(styles=3, background=1).needs_mask
    assert ViewState(styles=3, style_on="person").needs_mask


def test_every_key_of_the_help_changes_something():
    names = {"space": "space", "tab": "tab", "esc": "escape"}
    for keys, _ in HELP:
        for key in keys.replace(",  .", ". ,").replace("1 - 9, 0", "2").split():
            if key not in ("arrows", "double", "click"):
                name = names.get(key.lower(), key.lower())
                start = ViewState(styles=3, strength=0.5)
                assert press(start, name, 1.0) != start, key


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (-1, ""),
        (ord("n"), "n"),
        (ord("N"), "n"),
        (ord("+"), "+"),
        (9, "tab"),
        (27, "escape"),
        (32, "space"),
        (65361, "left"),
        (65362, "up"),
        (65363, "right"),
        (2424832, "left"),
        (2555904, "right"),
        (63234, "left"),
        (65459, "3"),
        (0x100000 | ord("q"), "q"),
        (0x100000 | 65363, "right"),
        (65505, ""),  # Shift alone
    ],
)
def test_key_codes_of_all_systems(code, name):
    assert key_name(code) == name
