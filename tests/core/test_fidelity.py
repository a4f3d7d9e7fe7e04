"""PSNR and SSIM as the tables of restoration have them."""

from __future__ import annotations

import numpy as np
import pytest
from samples import make_photo

from styletransfer.core.errors import SettingsError
from styletransfer.core.fidelity import luma, psnr_rgb_db, psnr_y_db, ssim_rgb, ssim_y


def test_luma_of_known_colours():
    """MATLAB's rgb2ycbcr of black, white, red, green and blue, before its rounding."""
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert np.allclose(luma(colours), [[16, 235, 81.481, 144.553, 40.966]])
    assert (luma(np.uint8([[3, 200]])) == [[3, 200]]).all()  # grey is its own Y


def test_psnr_of_known_errors():
    black, five = np.zeros((20, 20, 3), np.uint8), np.full((20, 20, 3), 5, np.uint8)
    assert psnr_rgb_db(five, black) == pytest.approx(20 * np.log10(255 / 5))
    assert psnr_y_db(five, black) == pytest.approx(20 * np.log10(255 / (5 * 219 / 255)))
    assert psnr_rgb_db(black, five) == psnr_rgb_db(five, black)  # bytes do not wrap
    assert psnr_y_db(black, black) > 130


def test_shave_leaves_the_border_out():
    target = make_photo(40, 50)
    damaged = target.copy()
    damaged[:4] = damaged[-4:] = 0
    damaged[:, :4] = damaged[:, -4:] = 0
    assert psnr_y_db(damaged, target, 3) < 30 and psnr_y_db(damaged, target, 4) > 130
    assert ssim_y(damaged, target, 4) == pytest.approx(1)
    with pytest.raises(SettingsError, match="50×40"):
        psnr_y_db(damaged, target, 20)


def test_ssim_of_a_constant_shift_is_its_luminance_term():
    target = np.full((16, 16), 100.0)
    c1 = (0.01 * 255) ** 2
    assert ssim_y(target + 20, target) == pytest.approx((2 * 120 * 100 + c1) / (120**2 + 100**2 + c1))


def test_ssim_of_noise_on_flat_grey_is_near_nothing():
    rng = np.random.default_rng(0)
    flat = np.full((64, 64), 128.0)
    assert ssim_y(flat + rng.normal(0, 50, flat.shape), flat) < 0.05
    with pytest.raises(SettingsError, match="11×11"):
        ssim_y(flat[:10], flat[:10])


def test_ssim_equals_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    target = make_photo(60, 70)
    noisy = np.clip(target + np.random.default_rng(2).normal(0, 15, target.shape), 0, 255).astype(np.uint8)
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    assert ssim_y(noisy, target) == pytest.approx(metrics.structural_similarity(luma(noisy), luma(target), **wang))
    colour = metrics.structural_similarity(noisy, target, channel_axis=2, **wang)
    assert ssim_rgb(noisy, target) == pytest.approx(colour)
    assert ssim_rgb(noisy[..., 0], target[..., 0]) == pytest.approx(ssim_y(noisy[..., 0], target[..., 0]))
