from __future__ import annotations

import numpy as np
import pytest
from samples import make_photo

from styletransfer.core.match import match_colors


def spread(frame):
    return np.cov(frame.reshape(-1, 3).astype(float).T)


def test_the_result_has_the_others_mean_and_spread():
    frame, like = make_photo(60, 80, 1), make_photo(50, 40, 2) // 3 + 80
    matched = match_colors(frame, like)
    assert matched.shape == frame.shape and matched.dtype == np.uint8
    np.testing.assert_allclose(matched.mean((0, 1)), like.mean((0, 1)), atol=1)
    np.testing.assert_allclose(spread(matched), spread(like), atol=0.05 * spread(like).max())


def test_its_own_colours_change_nothing():
    frame = make_photo(60, 80)
    assert np.abs(match_colors(frame, frame).astype(int) - frame).max() <= 1


def test_forms_stay_where_they_are():
    frame = make_photo(60, 80)
    matched = match_colors(frame, make_photo(60, 80, 4)[::-1] // 2)
    before, after = (np.diff(picture.astype(float).mean(2), axis=1).ravel() for picture in (frame, matched))
    assert np.corrcoef(before, after)[0, 1] > 0.9


@pytest.mark.parametrize("colour", [0, 90, 255])
def test_a_picture_of_one_colour(colour):
    flat = np.full((8, 8, 3), colour, np.uint8)
    made = match_colors(flat, make_photo(30, 40))
    assert np.ptp(made.reshape(-1, 3), axis=0).max() == 0
    np.testing.assert_allclose(made[0, 0], make_photo(30, 40).mean((0, 1)), atol=1)
    grey = match_colors(make_photo(30, 40), flat)
    assert np.abs(grey.astype(int) - colour).max() < 12
