from __future__ import annotations

import itertools

import numpy as np
import pytest

from styletransfer.core.errors import SettingsError
from styletransfer.media.flow import detail
from styletransfer.media.steady import Smoother

HEIGHT, WIDTH = 120, 160


def scene(seed=0, height=HEIGHT, width=WIDTH):
    """Coarse blocks, smoothed: something that flow can follow."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.integers(40, 216, (height // 10, width // 10, 3)), np.ones((10, 10, 1)))
    return ((blocks + np.roll(blocks, 3, 0) + np.roll(blocks, 3, 1)) / 3).astype(np.uint8)


def painted(frame, seed):
    """As a network paints it: with strokes that are others in every frame."""
    strokes = np.random.default_rng(seed).normal(0, 25, frame.shape)
    return np.clip(frame // 2 + 60 + strokes, 0, 255).astype(np.uint8)


def square_at(left, colour=(230, 40, 30)):
    frame = scene()
    frame[40:80, left : left + 40] = colour
    return frame


def play(smoother, frames, outputs):
    return [smoother(frame, output) for frame, output in zip(frames, outputs, strict=True)]


def changes(frames):
    """Root mean square difference of neighbouring frames, grey levels."""
    return np.mean([np.sqrt(np.mean((b.astype(float) - a) ** 2)) for a, b in itertools.pairwise(frames)])


def test_what_stands_still_stops_flickering_and_keeps_its_strokes():
    frames = [scene()] * 12
    outputs = [painted(frame, seed) for seed, frame in enumerate(frames)]
    gentle, strong = (play(Smoother(strength), frames, outputs) for strength in (0.5, 1.0))
    assert changes(strong) < changes(gentle) < 0.75 * changes(outputs)
    assert changes(strong) < 0.5 * changes(outputs)
    # Blending alone would leave a third: 0.2 of each new frame and 0.8 of what was there.
    assert detail(strong[-1]) > 0.6 * detail(outputs[-1])


def test_a_flat_wall_stands_still_although_its_noise_moves():
    rng = np.random.default_rng(0)
    frames = [np.clip(rng.normal(120, 1, (HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8) for _ in range(12)]
    outputs = [painted(frame, seed) for seed, frame in enumerate(frames)]
    assert changes(play(Smoother(1.0), frames, outputs)) < 0.85 * changes(outputs)


def test_strength_zero_changes_nothing():
    frames = [scene()] * 3
    outputs = [painted(frame, seed) for seed, frame in enumerate(frames)]
    for shown, output in zip(play(Smoother(0), frames, outputs), outputs, strict=True):
        np.testing.assert_array_equal(shown, output)


def test_a_moving_thing_leaves_nothing_behind():
    lefts = [20, 32, 44, 56, 68]
    frames = [square_at(left) for left in lefts]
    shown = play(Smoother(1), frames, frames)  # the clip itself as its output: any difference is a ghost
    for frame, result in zip(frames, shown, strict=True):
        assert np.abs(result.astype(int) - frame).mean() < 2
    behind = np.abs(shown[-1][40:80, 20:60].astype(int) - frames[-1][40:80, 20:60])
    assert behind.mean() < 4 and np.percentile(behind, 99) < 60


def test_a_moving_camera_is_followed():
    world = scene(height=HEIGHT, width=WIDTH + 80)
    strokes = np.random.default_rng(1).normal(0, 15, world.shape)
    frames = [np.ascontiguousarray(world[:, 4 * t : 4 * t + WIDTH]) for t in range(12)]
    paint = np.clip(world / 2 + 60 + strokes, 0, 255)
    outputs = [
        np.clip(paint[:, 4 * t : 4 * t + WIDTH] + np.random.default_rng(t).normal(0, 15, frames[t].shape), 0, 255)
        for t in range(12)
    ]
    outputs = [output.astype(np.uint8) for output in outputs]
    shown = play(Smoother(1), frames, outputs)

    def unsteady(pictures):
        return np.mean(
            [
                np.abs(b[20:-20, 20:-24].astype(float) - a[20:-20, 24:-20]).mean()
                for a, b in itertools.pairwise(pictures[4:])
            ]
        )

    assert unsteady(shown) < 0.65 * unsteady(outputs)


@pytest.mark.parametrize("what", ["cut", "size"])
def test_a_new_beginning_shows_the_frame_as_it_is(what):
    smoother = Smoother(1)
    play(smoother, [scene()] * 3, [painted(scene(), seed) for seed in range(3)])
    frame, output = scene(), painted(scene(), 5)
    if what == "cut":
        frame = 255 - scene(seed=7)
    else:
        output = np.ascontiguousarray(output[:100])
    np.testing.assert_array_equal(smoother(frame, output), output)


def test_two_smoothers_do_the_same_and_a_late_one_catches_up():
    frames = [scene()] * 30
    outputs = [painted(frame, seed) for seed, frame in enumerate(frames)]
    first, second = play(Smoother(0.7), frames, outputs), play(Smoother(0.7), frames, outputs)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    late = Smoother(0.7)
    start = 29 - late.memory_frames
    joined = play(late, frames[start:], outputs[start:])
    assert start > 10 and np.abs(joined[-1].astype(int) - first[-1]).mean() < 1


def test_inputs_are_not_written_to():
    frames = [scene()] * 4
    outputs = [painted(frame, seed) for seed, frame in enumerate(frames)]
    before = [output.copy() for output in outputs]
    play(Smoother(1), frames, outputs)
    assert all(np.array_equal(a, b) for a, b in zip(before, outputs, strict=True))


@pytest.mark.parametrize("size_hw", [(1, 1), (16, 700), (33, 17), (700, 16)])
def test_any_size_goes_through(size_hw):
    frames = [np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), dtype=np.uint8) for seed in range(3)]
    for result in play(Smoother(1), frames, frames):
        assert result.shape == (*size_hw, 3) and result.dtype == np.uint8


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_a_strength_outside_0_to_1_is_refused(strength):
    with pytest.raises(SettingsError, match="--smooth"):
        Smoother(strength)
