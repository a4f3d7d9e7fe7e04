from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from samples import make_photo

torch = pytest.importorskip("torch")

from styletransfer.core.damage import through_jpeg  # noqa: E402
from styletransfer.core.settings_restore import RestoreSettings  # noqa: E402
from styletransfer.training.restoration.degrade import (  # noqa: E402
    add_noise,
    as_webcam,
    shrink,
    spoiler,
    to_grey,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def flat(level, side=128):
    return np.full((side, side, 3), level, np.uint8)


def test_shrinking_an_edge_by_hand():
    # Antialiased bicubic by 1/2 is a filter of 8 taps, (-3, -9, 29, 111, 111, 29, -9, -3) / 256, on an edge 0 | 200.
    frame = np.zeros((16, 17, 3), np.uint8)
    frame[:, 8:] = 200
    target, small = shrink(frame, 2)
    assert target.shape == (16, 16, 3) and small.shape == (8, 8, 3)
    # Bright taps, from left to right: none, none, -3, 17, 239, 259, all, all of 256, times 200, cut off at black.
    assert (small[:, :, 1] == [0, 0, 0, 13, 187, 202, 200, 200]).all()


def test_the_photo_is_cropped_to_what_the_scale_divides():
    target, small = shrink(make_photo(37, 50), 4)
    assert target.shape == (36, 48, 3) and small.shape == (9, 12, 3)


def test_noise_has_the_standard_deviation_that_was_asked_for():
    noise = add_noise(flat(128), 25, rng()).astype(float) - 128
    assert noise.std() == pytest.approx(25, rel=0.02) and abs(noise.mean()) < 0.5
    assert not np.array_equal(noise[..., 0], noise[..., 1])
    assert np.array_equal(add_noise(flat(7), 0, rng()), flat(7))


def test_noise_is_cut_off_at_black_and_white():
    dark = add_noise(flat(2), 25, rng())
    assert dark.min() == 0 and dark.max() < 160  # nothing wraps round
    assert add_noise(flat(253), 25, rng()).max() == 255


def test_grey_noise_is_the_same_in_all_channels():
    noisy = add_noise(flat(128), 25, rng(), is_grey=True)
    assert np.array_equal(noisy[..., 0], noisy[..., 2]) and noisy.std() > 20


def test_grey_is_y_of_bt601():
    frame = np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0], [10, 200, 30]]], np.uint8)
    # 16 + 65.481 R + 128.553 G + 24.966 B over 255: 235, 16, 81.481, 122.33...
    assert to_grey(frame, "deblock")[0].tolist() == [[235] * 3, [16] * 3, [81] * 3, [122] * 3]
    assert to_grey(frame, "denoise")[0].tolist() == [[255] * 3, [0] * 3, [76] * 3, [124] * 3]  # 0.299, 0.587, 0.114


@pytest.mark.parametrize("is_grey", [False, True])
def test_jpeg_is_pillows(is_grey):
    photo = to_grey(make_photo(40, 56), "deblock") if is_grey else make_photo(40, 56)

    def spoiled(quality):
        return spoiler(RestoreSettings(task="deblock", quality=quality, grey=is_grey))(photo, rng()).astype(int)

    data = io.BytesIO()
    Image.fromarray(photo[..., 0] if is_grey else photo).save(data, "JPEG", quality=10)
    wanted = np.asarray(Image.open(data))
    assert np.array_equal(spoiled("10"), np.repeat(wanted[..., None], 3, axis=2) if is_grey else wanted)
    assert np.abs(spoiled("10") - photo).mean() > np.abs(spoiled("90") - photo).mean()


def test_a_webcams_frames_differ_in_strength_and_come_again():
    photo = np.asarray(Image.fromarray(make_photo(12, 16)).resize((64, 48)))  # smooth: what is added stands out
    errors = [np.abs(as_webcam(photo, rng(seed)).astype(int) - photo).mean() for seed in range(60)]
    assert np.array_equal(as_webcam(photo, rng(3)), as_webcam(photo, rng(3)))
    assert min(errors) > 0
    settings = RestoreSettings(task="clean")
    trained_on = [np.array_equal(spoiler(settings)(photo, rng(seed)), photo) for seed in range(60)]
    assert 0 < sum(trained_on) < 12, "some are spared: a clean frame is to stay so"
    assert not any(np.array_equal(spoiler(settings, spares=False)(photo, rng(seed)), photo) for seed in range(60))
    worst = np.sort(errors)
    assert worst[-5] > 1.4 * worst[5] and worst[-1] < 25


def test_what_a_task_does():
    photo = make_photo(48, 48)

    def spoiled(seed=0, **told):
        return spoiler(RestoreSettings(**told))(photo, rng(seed)).astype(float)

    for sigma, low, high in (("10", 9, 11), ("40-50", 33, 51)):
        error = (spoiled(task="denoise", sigma=sigma) - photo).std()
        assert low < error < high  # less than 40 where noise is cut off
    fixed = [spoiled(seed, task="deblock", quality="20") for seed in (0, 1)]
    assert np.array_equal(*fixed) and np.array_equal(fixed[0], through_jpeg(photo, 20))
    ranged = {spoiled(seed, task="deblock", quality="5-90").tobytes() for seed in range(8)}
    assert len(ranged) > 4
    assert np.array_equal(spoiled(task="sr", scale=2), photo)
