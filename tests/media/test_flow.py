from __future__ import annotations

import numpy as np
import pytest

from styletransfer.media.flow import (
    FlowEstimator,
    contrast,
    detail,
    flicker,
    is_cut,
    luminance,
    still_pixels,
    warp,
    warping_error,
    without_partner,
)
from styletransfer.media.stability import StabilityMeter

HEIGHT, WIDTH = 96, 128
SHIFT = (5, -3)  # pixels to the right and down that everything moves from frame to frame


def texture(height, width, seed=0):
    """Soft blobs in many colours, which flow can follow."""
    coarse = np.random.default_rng(seed).integers(30, 226, (height // 8 + 1, width // 8 + 1, 3)).astype(float)
    y, x = np.arange(height) / 8, np.arange(width) / 8
    y0, x0 = y.astype(int), x.astype(int)
    fy, fx = (y - y0)[:, None, None], (x - x0)[None, :, None]
    coarse = np.pad(coarse, ((0, 1), (0, 1), (0, 0)), mode="edge")
    top = coarse[y0][:, x0] * (1 - fx) + coarse[y0][:, x0 + 1] * fx
    bottom = coarse[y0 + 1][:, x0] * (1 - fx) + coarse[y0 + 1][:, x0 + 1] * fx
    return np.rint(top * (1 - fy) + bottom * fy).astype(np.uint8)


def pan(frames, shift=SHIFT, seed=0):
    """A camera that moves by whole pixels over a large picture: what is at p is next at p + shift."""
    world = texture(HEIGHT + 200, WIDTH + 200, seed)
    places = [(100 - shift[1] * t, 100 - shift[0] * t) for t in range(frames)]
    return [np.ascontiguousarray(world[y : y + HEIGHT, x : x + WIDTH]) for y, x in places]


def constant_flow(shift=SHIFT):
    return np.tile(np.array(shift, np.float32), (HEIGHT, WIDTH, 1))


def square_over(background, left, side=24):
    """A red square before a background that stands still."""
    frame = background.copy()
    frame[30 : 30 + side, left : left + side] = (220, 30, 30)
    return frame


def square_flow(left, step, side=24):
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    flow[30 : 30 + side, left : left + side, 0] = step
    return flow


def noisy(frame, sigma, seed):
    noise = np.random.default_rng(seed).normal(0, sigma, frame.shape)
    return np.clip(np.rint(frame + noise), 0, 255).astype(np.uint8)


# ---- flow and warping ----


def test_flow_finds_a_pan_by_whole_pixels():
    first, second = (luminance(frame) for frame in pan(2))
    flow = FlowEstimator()(first, second)[16:-16, 16:-16]
    assert np.abs(flow - SHIFT).mean() < 0.2


def test_warping_along_the_exact_flow_brings_the_second_frame_back():
    first, second = pan(2)
    back = warp(second, constant_flow())
    left_out = without_partner(constant_flow(), -constant_flow())
    np.testing.assert_array_equal(back[~left_out], first[~left_out])
    # Everything but what the camera left behind: 5 columns at the right, 3 rows at the top.
    assert (~left_out).sum() == (HEIGHT - 3) * (WIDTH - 5) and left_out[:3].all() and left_out[:, -5:].all()


def test_the_covered_background_has_no_partner():
    background = texture(HEIGHT, WIDTH)
    first, second = square_over(background, 20), square_over(background, 32)
    flow, back = square_flow(20, 12), square_flow(32, -12)
    left_out = without_partner(flow, back, boundaries=False)
    covered = np.zeros_like(left_out)
    covered[30:54, 44:56] = True  # where the square goes to
    np.testing.assert_array_equal(left_out, covered)
    assert warping_error(first, second, flow, left_out) == 0
    assert warping_error(first, second, flow, np.zeros_like(left_out)) > 1e-3


def test_motion_boundaries_are_left_out_too():
    flow, back = square_flow(20, 12), square_flow(32, -12)
    left_out = without_partner(flow, back)
    assert left_out[40, 19] and left_out[40, 43] and not left_out[40, 30] and not left_out[40, 10]


# ---- the warping error ----


def test_an_output_that_moves_with_its_input_has_no_error():
    first, second = (255 - frame for frame in pan(2))
    left_out = without_partner(constant_flow(), -constant_flow())
    assert warping_error(first, second, constant_flow(), left_out) == 0


def test_the_error_is_the_mean_squared_difference_of_colours_in_0_to_1():
    first, second = pan(2)
    left_out = without_partner(constant_flow(), -constant_flow())
    brighter = second + np.uint8(20)
    assert warping_error(first, brighter, constant_flow(), left_out) == pytest.approx((20 / 255) ** 2, rel=1e-6)


def test_without_a_pixel_to_compare_the_error_is_no_number():
    first, second = pan(2)
    nothing = np.ones((HEIGHT, WIDTH), bool)
    assert np.isnan(warping_error(first, second, constant_flow(), nothing))
    assert np.isnan(flicker(first, second, ~nothing))


# ---- stillness, cuts, strength ----


def test_still_pixels_are_those_that_neither_move_nor_change():
    background = texture(HEIGHT, WIDTH)
    frames = [noisy(square_over(background, left), 2, seed) for seed, left in enumerate((20, 32))]
    first, second = (luminance(frame) for frame in frames)
    second[70:, :30] += 30  # a light goes on
    still = still_pixels(first, second, square_flow(20, 12), np.zeros((HEIGHT, WIDTH), bool))
    assert not still[30:54, 20:56].any() and not still[76:, :24].any()
    assert still[:20].mean() > 0.99 and still[60:, 40:].mean() > 0.99


def test_another_scene_is_a_cut_and_a_pan_is_none():
    estimator = FlowEstimator()

    def found(first, second):
        first, second = luminance(first), luminance(second)
        flow, back = estimator(first, second), estimator(second, first)
        return is_cut(first, second, flow, without_partner(flow, back, boundaries=False))

    first, second = pan(2)
    assert found(first, pan(1, seed=9)[0]) and found(first, np.zeros_like(first))
    assert not found(first, second) and not found(first, noisy(first, 12, 0))
    assert not found(first, (first * 0.85).astype(np.uint8))


def test_blurring_lowers_detail_and_fading_lowers_contrast():
    frame = noisy(texture(HEIGHT, WIDTH), 20, 0)
    blurred = ((frame.astype(int) + np.roll(frame, 1, 0) + np.roll(frame, 1, 1)) // 3).astype(np.uint8)
    faded = (frame // 2 + 64).astype(np.uint8)
    assert detail(blurred) < 0.8 * detail(frame) and contrast(blurred) > 0.8 * contrast(frame)
    assert contrast(faded) == pytest.approx(contrast(frame) / 2, rel=0.02)


# ---- a clip ----


def measure(frames, **outputs):
    meter = StabilityMeter()
    for index, frame in enumerate(frames):
        meter.add(frame, {name: output[index] for name, output in outputs.items()})
    return meter


def test_noise_on_a_still_clip_is_measured_as_what_it_is():
    frame = texture(HEIGHT, WIDTH)
    frames = [frame] * 5
    meter = measure(frames, same=frames, noise=[noisy(frame, 10, seed) for seed in range(5)])
    assert meter.compared > 0.99 and meter.still > 0.99 and meter.cuts == 0
    same, noise = meter.result("same"), meter.result("noise")
    assert same.warping_error == same.flicker_levels == 0
    # The difference of two frames has twice the variance of one.
    assert noise.warping_error == pytest.approx(2 * (10 / 255) ** 2, rel=0.05)
    assert noise.flicker_levels == pytest.approx(10 * 2**0.5, rel=0.05)


def test_a_pattern_that_sticks_to_the_screen_is_unsteady_and_one_that_moves_along_is_not():
    frames = pan(5)
    pattern = noisy(np.full_like(frames[0], 128), 20, 0).astype(int) - 128

    def with_pattern(move):
        return [
            np.clip(frame + np.roll(pattern, (SHIFT[1] * t * move, SHIFT[0] * t * move), (0, 1)), 0, 255).astype(
                np.uint8
            )
            for t, frame in enumerate(frames)
        ]

    meter = measure(frames, sticks=with_pattern(0), moves=with_pattern(1))
    sticks, moves = meter.result("sticks"), meter.result("moves")
    assert moves.warping_error < 0.3 * sticks.warping_error
    assert sticks.warping_error == pytest.approx(2 * (20 / 255) ** 2, rel=0.15)
    assert sticks.flicker_levels is None  # nothing stands still in a pan


def test_pairs_with_a_cut_between_them_are_left_out():
    frames = [*pan(3, seed=0), *pan(3, seed=9)]
    meter = measure(frames, same=frames)
    assert meter.cuts == 1 and meter.frames == 6
    assert meter.result("same").warping_error < 5e-4


def test_an_output_of_another_size_is_refused():
    frame = texture(HEIGHT, WIDTH)
    with pytest.raises(ValueError, match="half"):
        StabilityMeter().add(frame, {"half": frame[::2, ::2]})


@pytest.mark.parametrize("quality", ["fast", "medium"])
@pytest.mark.parametrize("size", [(20, 240), (16, 320), (300, 16), (1, 1), (31, 640), (8, 100)])
def test_narrow_pictures_have_a_flow_too(quality, size):
    """OpenCV crashed on them."""
    picture = texture(*size)[..., 0].copy()
    flow = FlowEstimator(quality)(picture, np.roll(picture, 2, axis=1))
    assert flow.shape == (*size, 2) and np.isfinite(flow).all()
