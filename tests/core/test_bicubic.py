"""The bicubic resize by which super-resolution is measured."""

from __future__ import annotations

import numpy as np
import pytest

from styletransfer.core.bicubic import imresize, modcrop
from styletransfer.core.errors import SettingsError


def test_doubling_has_the_weights_of_keys_cubic():
    """New pixels lie a quarter from old ones: the cubic of a = -0.5 at 1.25, 0.25, 0.75 and 1.75."""
    impulse = np.zeros((1, 9))
    impulse[0, 4] = 128
    expected = np.array([-3, -9, 29, 111, 111, 29, -9, -3], float)  # 128ths; MATLAB's imresize(x, 2) prints them
    assert np.allclose(imresize(impulse, (1, 18))[0, 5:13], expected)


def test_halving_covers_eight_pixels():
    """The antialiasing kernel of MATLAB's imresize(x, 0.5): the cubic stretched to twice its width."""
    impulses = np.eye(16) * 256
    middle = imresize(impulses, (16, 8))[:, 4]  # made of pixels 5 to 12
    assert np.allclose(middle[5:13], [-3, -9, 29, 111, 111, 29, -9, -3])
    assert not middle[:5].any() and not middle[13:].any()


@pytest.mark.parametrize("factor", [0.25, 1 / 3, 0.5, 2, 3, 4.0])
def test_flat_stays_flat_and_a_ramp_stays_a_ramp(factor):
    flat = np.full((24, 36, 3), 77, np.uint8)
    assert (imresize(flat, factor) == 77).all()
    ramp = np.tile(np.arange(48.0), (12, 1))
    result = imresize(ramp, factor)[0]
    inside = result[len(result) // 4 : -len(result) // 4]  # the mirrored border bends it
    assert np.allclose(np.diff(inside), 1 / factor)
    assert np.isclose(result.mean(), 23.5)


@pytest.mark.parametrize("factor", [0.25, 2.0])
def test_turning_and_mirroring_commute_with_resizing(factor):
    picture = np.random.default_rng(0).random((32, 48, 3))
    resized = imresize(picture, factor)
    assert np.allclose(imresize(picture[::-1, ::-1], factor), resized[::-1, ::-1])
    assert np.allclose(imresize(picture.transpose(1, 0, 2), factor), resized.transpose(1, 0, 2))


def test_the_border_is_mirrored_with_its_pixel_repeated():
    column = np.array([[100.0], [0], [0], [0]])
    # the first of the doubled pixels lies at -0.25: -9/128 of pixel -2 (= 1), 29/128 of -1 (= 0), 111/128 of 0, ...
    assert np.allclose(imresize(column, (8, 1))[0, 0], 100 * (111 + 29) / 128)


def test_types_sizes_and_channels():
    photo = np.random.default_rng(1).integers(0, 256, (30, 41, 3), np.uint8)
    small = imresize(photo, 0.25)
    assert small.shape == (8, 11, 3) and small.dtype == np.uint8 and small.flags.c_contiguous
    assert imresize(photo[..., 0], (7, 90)).shape == (7, 90)
    assert (imresize(photo, 0.25)[..., 1] == imresize(photo[..., 1], 0.25)).all()
    assert imresize(photo.astype(np.float32), 2.0).dtype == np.float32
    assert imresize(np.zeros((30, 30)), 0.1).shape == (3, 3)
    near = np.abs(imresize(photo.astype(float), 0.25) - small)
    assert near.max() <= 1.2  # bytes are rounded twice
    assert (imresize(np.tile(np.uint8([0, 255]), (8, 8)), 4.0) % 255 == 0).any()  # overshoot is clipped, not wrapped


def test_bytes_clip_instead_of_wrapping():
    edge = np.repeat(np.uint8([[0, 0, 0, 255, 255, 255]]), 6, 0)
    enlarged = imresize(edge, 4.0).astype(int)
    assert (np.diff(enlarged, axis=1) >= 0).all()


def test_what_cannot_be_resized_is_said():
    with pytest.raises(SettingsError, match="int32"):
        imresize(np.zeros((8, 8), np.int32), 2.0)
    for size in ((0, 4), -1.0, float("nan")):
        with pytest.raises(SettingsError, match="8×8"):
            imresize(np.zeros((8, 8)), size)


def test_modcrop():
    assert modcrop(np.zeros((31, 44, 3)), 4).shape == (28, 44, 3)
    assert modcrop(np.zeros((31, 44)), 1).shape == (31, 44)
