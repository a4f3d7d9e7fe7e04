from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from styletransfer.cli.stages import Look, stage_factory
from styletransfer.core.frames import Frame
from styletransfer.core.zoo import resolve_restorer
from styletransfer.media.denoise import TemporalDenoiser
from styletransfer.runtime.chain import load_chain

HEIGHT, WIDTH = 120, 160


def scene(width=WIDTH, seed=0):
    """Coarse blocks, smoothed, beside a flat wall."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.integers(40, 216, (HEIGHT // 10, width // 10, 3)), np.ones((10, 10, 1)))
    smooth = (blocks + np.roll(blocks, 3, 0) + np.roll(blocks, 3, 1)) / 3
    smooth[:, : width // 4] = (90, 80, 70)
    return smooth


def noisy(picture, seed, sigma=5.0):
    return np.clip(picture + np.random.default_rng(seed).normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


def play(frames):
    denoiser = TemporalDenoiser()
    return [denoiser(frame) for frame in frames]


def error(frame, picture):
    return np.sqrt(np.mean((frame.astype(float) - picture) ** 2))


def test_noise_of_what_stands_still_goes_and_nothing_else():
    picture = scene()
    frames = [noisy(picture, seed) for seed in range(16)]
    shown = play(frames)
    assert np.array_equal(shown[0], frames[0])
    assert error(shown[-1], picture) < 0.45 * error(frames[-1], picture)
    changes = [error(after, before.astype(float)) for before, after in itertools.pairwise(shown[8:])]
    assert np.mean(changes) < 0.25 * error(frames[-1], frames[-2].astype(float))
    clean = [picture.astype(np.uint8)] * 4
    assert all(np.array_equal(result, clean[0]) for result in play(clean))


def test_a_camera_that_moves_is_followed():
    world = scene(WIDTH + 80)
    places = [world[:, 3 * t : 3 * t + WIDTH] for t in range(16)]
    frames = [noisy(place, seed) for seed, place in enumerate(places)]
    shown = play(frames)
    inner = (slice(8, -8), slice(16, -16))
    assert error(shown[-1][inner], places[-1][inner]) < 0.8 * error(frames[-1][inner], places[-1][inner])


@pytest.mark.parametrize("change", ["a cut", "a light", "a thing"])
def test_what_is_new_is_seen_at_once_and_leaves_nothing_behind(change):
    before = after = scene()
    if change == "a cut":
        after = scene(seed=9)[:, ::-1]
    elif change == "a light":
        after = np.clip(before + 60, 0, 255)
    else:
        after = before.copy()
        after[30:90, 60:110] = (220, 30, 40)
    there = play([before.astype(np.uint8)] * 4 + [after.astype(np.uint8)] * 2 + [before.astype(np.uint8)])
    assert error(there[4], after) < 3 and error(there[5], after) < 3
    assert error(there[6], before) < 3, "no ghost"


def test_another_size_begins_anew():
    denoiser = TemporalDenoiser()
    denoiser(noisy(scene(), 0))
    small = noisy(scene(), 1)[:60, :90]
    assert np.array_equal(denoiser(small), small)


def test_a_slow_change_is_followed_to_the_last_level():
    frames = [np.full((48, 64, 3), level, np.uint8) for level in [100] * 6 + [102] * 30]
    assert np.array_equal(play(frames)[-1], frames[-1]), "bytes would stay two levels behind for good"


@pytest.mark.parametrize(("before", "remembers"), [("clean", True), ("tiny_deblock", False)])
def test_behind_what_removes_noise_clips_are_averaged(before, remembers, request, tiny_model):
    path = resolve_restorer("clean") if remembers else request.getfixturevalue(before)
    chain = load_chain(tiny_model, [path], provider="cpu")
    factory = stage_factory(chain, Look())
    assert factory.warm_up_frames == (TemporalDenoiser.memory_frames if remembers else 0)
    frames = [noisy(scene(), seed) for seed in range(5)]
    stage, denoiser = factory.make(0), TemporalDenoiser() if remembers else lambda frame: frame
    for index, frame in enumerate(frames):
        result = stage(Frame(frame, Fraction(index, 25), index=index)).frame_hwc
        np.testing.assert_array_equal(result, chain.paint(denoiser(chain.clean(frame))))
