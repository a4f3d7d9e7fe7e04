"""Neighbouring frames with their motion, cut out of clips."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from styletransfer.core.errors import InputError
from styletransfer.media.flow import luminance, warp
from styletransfer.media.pairs import find_pairs

SIDE = 64
STEP = (3, -2)  # pixels to the right and down that the camera moves from frame to frame


def write(path, frames):
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"crf": "10"})
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = "yuv420p"
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def scene(seed, height=300, width=400):
    coarse = np.random.default_rng(seed).integers(20, 236, (height // 10, width // 10, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def pan(tmp_path):
    """A camera that moves over a large picture."""
    world = scene(0)
    places = [(120 + STEP[1] * t, 20 + STEP[0] * t) for t in range(40)]
    return write(tmp_path / "pan.mp4", [np.ascontiguousarray(world[y : y + 96, x : x + 160]) for y, x in places])


def test_a_pair_holds_two_neighbours_and_the_motion_between_them(pan):
    pairs = find_pairs(pan, 8, SIDE, seed=0)
    assert len(pairs) == 8
    for pair in pairs:
        assert pair.first_hwc.shape == pair.second_hwc.shape == (SIDE, SIDE, 3)
        assert pair.compared_hw.mean() > 0.5
        # In grey: the codec moves colours by halves of a pixel.
        moved = warp(luminance(pair.first_hwc), pair.flow_hw2).astype(int) - luminance(pair.second_hwc)
        assert np.abs(moved[pair.compared_hw]).mean() < 3
        flow = pair.flow_hw2[pair.compared_hw].mean(axis=0)
        # What the camera moves away from comes from further on; frames are shrunk by up to 1.5.
        assert 1 / 1.6 < flow[0] / STEP[0] < 1.05 and 1 / 1.6 < flow[1] / STEP[1] < 1.05


def test_the_same_call_gives_the_same_pairs_and_another_seed_others(pan):
    one, same, other = (find_pairs(pan, 4, SIDE, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a.first_hwc, b.first_hwc) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a.first_hwc, b.first_hwc) for a, b in zip(one, other, strict=True))


def test_there_are_no_pairs_across_a_cut(tmp_path):
    scenes = [scene(index, 96, 160) for index in range(12)]
    assert find_pairs(write(tmp_path / "cuts.mp4", scenes), 6, SIDE, seed=0) == []


def test_frames_that_are_too_small_are_refused(tmp_path):
    small = write(tmp_path / "small.mp4", [scene(0, 48, 64)] * 4)
    with pytest.raises(InputError, match="smaller than 64 pixels"):
        find_pairs(small, 2, SIDE, seed=0)


def test_a_frame_between_the_limit_and_the_crop_is_enlarged(tmp_path):
    clip = write(tmp_path / "low.mp4", [scene(0, 72, 96)] * 4)
    assert find_pairs(clip, 1, 128, seed=0)[0].first_hwc.shape == (128, 128, 3)
