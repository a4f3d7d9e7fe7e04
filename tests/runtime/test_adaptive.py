import itertools
import time

import numpy as np
import pytest

from styletransfer.core.errors import SettingsError
from styletransfer.runtime.adaptive import SizeController, ladder

FULL = (640, 480)


def simulate(controller, cost, frames=400, full=FULL, rate=30.0):
    """Run a camera of 30 fps through a stage whose seconds are ``cost(pixels, now)``; the sizes and their times."""
    now_s, sizes = 0.0, []
    for _ in range(frames):
        size = controller.size_for(full)
        seconds = cost(size[0] * size[1], now_s)
        now_s += max(seconds, 1 / rate)
        controller.note(seconds, now_s)
        sizes.append((size, seconds))
    return sizes


def linear(ms_at_full, fixed_ms=1.0):
    def cost(pixels, now_s):
        return (fixed_ms + ms_at_full * pixels / (640 * 480)) / 1000

    return cost


def changes(sizes):
    return sum(a[0] != b[0] for a, b in itertools.pairwise(sizes))


@pytest.mark.parametrize("full", [(640, 480), (1280, 720), (1920, 1080), (480, 640), (333, 217), (100, 100)])
@pytest.mark.parametrize("multiple", [4, 8, 16])
def test_the_ladder_goes_down_in_multiples_and_keeps_the_proportions(full, multiple):
    rungs = ladder(full, multiple)
    assert rungs[0] == full
    for (width, height), (next_width, next_height) in itertools.pairwise(rungs):
        assert 0.5 < next_width * next_height / (width * height) < 1
        assert next_width % multiple == next_height % multiple == 0
        assert abs(next_width / next_height / (full[0] / full[1]) - 1) < 0.13
        assert max(next_width, next_height) >= 220


def test_a_fast_stage_is_left_at_full_size():
    assert {size for size, _ in simulate(SizeController(30), linear(20))} == {FULL}


@pytest.mark.parametrize("ms_at_full", [40, 90, 200])
def test_a_slow_stage_is_brought_under_its_budget_and_stays_there(ms_at_full):
    sizes = simulate(SizeController(30), linear(ms_at_full), frames=900)
    settled = sizes[-300:]
    assert max(seconds for _, seconds in settled) < 1 / 30
    assert changes(settled) <= 2, "the size must not swing"
    # No smaller than need be: two rungs up would not have done.
    width, height = settled[-1][0]
    assert linear(ms_at_full)(width * height / 0.84**4, 0) > 0.75 / 30


def test_the_rate_is_held_within_a_second_of_the_load():
    def cost(pixels, now_s):
        return linear(20 if now_s < 5 else 120)(pixels, now_s)

    controller = SizeController(30)
    sizes = simulate(controller, cost, frames=500)
    first_slow = next(i for i, (_, seconds) in enumerate(sizes) if seconds > 0.05)
    over = [seconds for _, seconds in sizes[first_slow:] if seconds > 1 / 30]
    assert sum(over) < 1.5


def test_it_grows_back_when_the_load_is_gone():
    def cost(pixels, now_s):
        return linear(200 if now_s < 5 else 15)(pixels, now_s)

    sizes = simulate(SizeController(30), cost, frames=2500)
    assert sizes[100][0] != FULL
    assert sizes[-1][0] == FULL


def test_noise_does_not_make_it_swing():
    rng = np.random.default_rng(3)

    def cost(pixels, now_s):
        spike = 5 if rng.random() < 0.05 else 1
        return linear(90)(pixels, now_s) * spike * rng.normal(1, 0.12)

    assert changes(simulate(SizeController(30), cost, frames=3000)[300:]) < 20


def test_a_rung_that_costs_more_than_expected_is_tried_ever_more_rarely():
    """Some sizes are slow for reasons that pixels do not tell; the controller must not fall for them each second."""

    def cost(pixels, now_s):
        return 0.060 if pixels > 300_000 else 0.015

    sizes = simulate(SizeController(30), cost, frames=3000)
    assert 2 <= changes(sizes) < 30
    assert sum(size == FULL for size, _ in sizes[1500:]) < 60


def test_the_smallest_size_is_the_end():
    sizes = simulate(SizeController(60), linear(9000), frames=60)
    assert sizes[-1][0] == ladder(FULL)[-1]


def test_another_camera_size_keeps_the_scale():
    controller = SizeController(30)
    simulate(controller, linear(200), frames=60)
    before = controller.size_for(FULL)[0] / FULL[0]
    after = controller.size_for((1280, 720))[0] / 1280
    assert before < 0.6
    assert abs(before - after) < 0.12


@pytest.mark.parametrize("rate", [0, -3, 500, float("nan")])
def test_a_rate_that_cannot_be_is_refused(rate):
    with pytest.raises(SettingsError, match="1 to 240"):
        SizeController(rate)


@pytest.mark.flaky(reruns=2)
def test_a_real_slow_stage_reaches_its_rate():
    """With the clock of the real world: a stage that sleeps for its pixels, at 100 frames a second."""
    controller, taken = SizeController(100), []
    for _ in range(60):
        width, height = controller.size_for((320, 240))
        started = time.perf_counter()
        time.sleep(0.016 * width * height / (320 * 240))
        taken.append(time.perf_counter() - started)
        controller.note(taken[-1], time.perf_counter())
    assert taken[0] > 0.015
    assert np.median(taken[-20:]) < 0.012
