import numpy as np
import pytest

from styletransfer.core.panels import Panel, draw_panels


def block(height, width, level):
    return np.full((height, width, 3), (200, 0, level), np.uint8)  # red: no pixel of grey text looks like it


def places(sheet, level):
    return np.argwhere((sheet == (200, 0, level)).all(-1))


@pytest.mark.parametrize("height", [64, 256, 700])
def test_pictures_keep_their_proportions_and_do_not_touch(height):
    sheet = draw_panels([Panel("one", block(100, 150, 40)), Panel("two", block(50, 40, 200))], height)
    first, second = places(sheet, 40), places(sheet, 200)
    for found, ratio in ((first, 1.5), (second, 0.8)):
        (top, left), (bottom, right) = found.min(0), found.max(0)
        assert bottom - top + 1 == height
        assert right - left + 1 == pytest.approx(height * ratio, abs=1)
    assert first[:, 1].max() < second[:, 1].min() - 2


def test_titles_stand_above_and_lines_below():
    with_text = draw_panels([Panel("photo", block(100, 300, 128), ("1.5 s", "objective 1,234"))], 300)
    blank = draw_panels([Panel("", block(100, 300, 128), ("", ""))], 300)
    assert with_text.shape == blank.shape
    rows = np.unique(np.argwhere((with_text != blank).any(-1))[:, 0])
    picture = places(blank, 128)[:, 0]
    assert (rows < picture.min()).any() and (rows > picture.max()).any()
    assert not ((rows >= picture.min()) & (rows <= picture.max())).any()


def test_a_long_line_is_neither_cut_off_nor_written_over_the_next_picture():
    line = "300 iterations on the CPU, objective 123,456, content 12,345, style 67,890"
    short = draw_panels([Panel("a", block(64, 64, 10)), Panel("b", block(64, 64, 20))], 64)
    long = draw_panels([Panel("a", block(64, 64, 10), (line,)), Panel("b", block(64, 64, 20), (line,))], 64)
    assert long.shape[1] > short.shape[1]
    ink = np.argwhere((long < 190).all(-1) & (np.arange(long.shape[0]) > places(long, 10)[:, 0].max())[:, None])[:, 1]
    gaps = np.flatnonzero(np.diff(np.unique(ink)) > 1)
    assert ink.max() < long.shape[1] - 1 and len(gaps) > 0
    assert places(long, 20)[:, 1].min() > ink[ink < long.shape[1] // 2].max() - 2


def test_a_very_wide_picture_is_made_lower():
    sheet = draw_panels([Panel("wide", block(10, 30_000, 100)), Panel("square", block(50, 50, 50))], 64)
    assert sheet.shape[1] < 6 * 64
