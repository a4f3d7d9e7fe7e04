from __future__ import annotations

import numpy as np
import pytest

from styletransfer.core.blending import blend
from styletransfer.core.errors import SettingsError


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    shape = (301, 257, 3)  # more than one block of rows, odd sizes
    return tuple(rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(2))


def luma(frame: np.ndarray) -> np.ndarray:
    return frame.astype(np.float64) @ [0.299, 0.587, 0.114]


def test_strength_0_is_the_photo_and_1_is_the_style(pair):
    photo, style = pair
    np.testing.assert_array_equal(blend(photo, style, 0.0), photo)
    np.testing.assert_array_equal(blend(photo, style, 0.0, keep_colors=True), photo)
    np.testing.assert_array_equal(blend(photo, style, 1.0), style)


@pytest.mark.parametrize("strength", [0.1, 0.5, 0.9])
def test_strength_between_is_the_linear_mix_within_a_level(pair, strength):
    photo, style = pair
    expected = photo * (1 - strength) + style * strength
    assert np.abs(blend(photo, style, strength) - expected).max() <= 1.5


def test_keep_colors_takes_the_luminance_and_leaves_the_chroma():
    rng = np.random.default_rng(4)
    photo = rng.integers(100, 156, (64, 64, 3), dtype=np.uint8)  # so that nothing has to be clipped
    style = rng.integers(100, 156, (64, 64, 3), dtype=np.uint8)
    mixed = blend(photo, style, keep_colors=True)
    assert np.abs(luma(mixed) - luma(style)).max() <= 1.5
    chroma = photo.astype(int) - photo[..., :1]
    np.testing.assert_array_equal(mixed.astype(int) - mixed[..., :1], chroma)


def test_keep_colors_clips_instead_of_wrapping_around():
    photo = np.full((4, 4, 3), (250, 10, 128), np.uint8)
    bright = blend(photo, np.full_like(photo, 255), keep_colors=True)
    dark = blend(photo, np.zeros_like(photo), keep_colors=True)
    assert bright[0, 0, 0] == 255 and bright[0, 0, 1] > 150
    assert dark[0, 0, 1] == 0 and dark[0, 0, 0] < 250


def test_keep_colors_with_strength_moves_a_part_of_the_way(pair):
    photo, style = (frame // 4 + 96 for frame in pair)
    half = blend(photo, style, 0.5, keep_colors=True)
    assert np.abs(luma(half) - (luma(photo) + luma(style)) / 2).max() <= 2


@pytest.mark.parametrize("strength", [-0.01, 1.01, float("nan")])
def test_a_strength_outside_is_refused(pair, strength):
    with pytest.raises(SettingsError, match="between 0"):
        blend(*pair, strength)


def test_frames_that_differ_are_refused(pair):
    photo, style = pair
    with pytest.raises(ValueError, match="differ"):
        blend(photo, style[:-1])
    with pytest.raises(ValueError, match="uint8"):
        blend(photo.astype(np.float32), style.astype(np.float32))
