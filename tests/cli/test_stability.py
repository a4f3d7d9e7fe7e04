import itertools
import json
import sys
from fractions import Fraction

import clips
import numpy as np
import pytest
from clips import look_at, make_clip

from styletransfer.cli.stages import Look, SegmentedStage, stage_factory
from styletransfer.core.frames import Frame

TINY = "tiny.onnx"


def noisy_room(index, width, height):
    """A scene that stands still under a camera's noise."""
    y, x = np.mgrid[0:height, 0:width]
    frame = np.stack([60 + 100 * (x // 16 % 2), 40 + 120 * y // height, 40 + 90 * (y // 16 % 2)], -1)
    return np.clip(frame + np.random.default_rng(index).normal(0, 12, frame.shape), 0, 255).astype(np.uint8)


def light_setup(stream):
    stream.options = {"crf": "8"}  # keeps the noise


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A clip of the noisy room."""
    monkeypatch.setattr(clips, "picture", noisy_room)
    return make_clip(tmp_path / "room.mp4", size=(96, 64), sound=(), setup=light_setup)


@pytest.fixture
def moving(tmp_path):
    """A clip with a bar that moves."""
    return make_clip(tmp_path / "bar.mp4", size=(96, 64), sound=())


@pytest.fixture
def stability(cli, tiny_model):
    """Run ``styletransfer stability -m tiny --json - ARGS``: the outcome, and the report where there is one."""

    def run(*args):
        outcome = cli("stability", "-m", tiny_model, "--json", "-", *args)
        return outcome, json.loads(outcome.out) if outcome.out.startswith("{") else None

    return run


# ---- the measure ----


def test_every_output_is_measured_against_the_first_style(stability, tiny_model, room, moving):
    outcome, report = stability(room, moving, "--smooth", "1")
    assert outcome.status == 0 and outcome.err == ""
    tiny = str(tiny_model)
    for clip, entry in zip((room, moving), report["clips"], strict=True):
        assert (entry["clip"], entry["frames"], entry["cuts"]) == (str(clip), 12, 0)
        assert list(entry["outputs"]) == ["untouched clip", tiny, f"{tiny}, smoothed"]
        assert all(figures["style_loss"] is None for figures in entry["outputs"].values())
    in_room = report["clips"][0]["outputs"]
    assert in_room[f"{tiny}, smoothed"]["warping_error"] < 0.5 * in_room[tiny]["warping_error"]
    assert in_room[f"{tiny}, smoothed"]["flicker_levels"] < 0.7 * in_room[tiny]["flicker_levels"]
    mean = report["mean"]
    assert mean[tiny]["warping_error"] == pytest.approx(
        np.mean([entry["outputs"][tiny]["warping_error"] for entry in report["clips"]])
    )
    assert mean[tiny]["warping_error_ratio"] == 1
    assert mean[f"{tiny}, smoothed"]["detail_levels_ratio"] == pytest.approx(
        mean[f"{tiny}, smoothed"]["detail_levels"] / mean[tiny]["detail_levels"]
    )


def test_the_table_names_every_output_in_full(cli, tiny_model, room, tmp_path):
    target = tmp_path / "report.json"
    outcome = cli("stability", room, "-m", tiny_model, "--smooth", "0.7", "--frames", "4", "--json", target)
    assert outcome.status == 0
    for cell in ("room.mp4", "untouched clip", str(tiny_model), f"{tiny_model}, smoothed", "warping error"):
        assert cell in outcome.out
    assert "style loss" not in outcome.out  # without a painting
    assert json.loads(target.read_text())["clips"][0]["frames"] == 4


def test_a_clip_that_cannot_be_measured_does_not_stop_the_others(stability, room, tmp_path):
    broken, one = tmp_path / "broken.mp4", make_clip(tmp_path / "one.mp4", pts=range(1), sound=())
    broken.write_bytes(b"no clip")
    tiny_size = make_clip(tmp_path / "small.mp4", size=(64, 16), sound=())
    outcome, report = stability(broken, one, tiny_size, tmp_path / "missing.mp4", room)
    assert outcome.status == 1 and [entry["clip"] for entry in report["clips"]] == [str(room)]
    assert len(outcome.errors) == 4
    for name, error in zip(("broken.mp4", "one.mp4", "small.mp4", "missing.mp4"), outcome.errors, strict=True):
        assert name in error
    assert "two frames" in outcome.errors[1] and "64x16" in outcome.errors[2]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--smooth", "2"], "--smooth is 2"),
        (["--smooth", "nan"], "--smooth is nan"),
        (["--frames", "1"], "--frames is 1"),
        (["--frames", "-3"], "--frames is -3"),
        (["--size", "8"], "--size is 8"),
        (["-m", "no_such_style"], "no_such_style"),
    ],
)
def test_wrong_options_are_one_line(stability, room, arguments, named):
    outcome, _ = stability(room, *arguments)
    assert outcome.status == 1 and len(outcome.errors) == 1 and named in outcome.errors[0]
    assert outcome.out == ""


def test_without_torch_a_painting_says_what_to_install(cli, tiny_model, room, photo_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    outcome = cli("stability", room, "-m", tiny_model, "--painting", photo_file)
    assert outcome.status == 1 and "styletransfer[train]" in outcome.errors[0] and "--painting" in outcome.errors[0]


# ---- video --smooth ----


def changes(pictures):
    return np.mean([np.abs(b.astype(int) - a).mean() for a, b in itertools.pairwise(pictures)])


def test_a_smooth_video_flickers_less_and_keeps_its_times(cli, tiny_model, room, tmp_path):
    plain, smooth = tmp_path / "plain.mp4", tmp_path / "smooth.mp4"
    assert cli("video", room, "-m", tiny_model, "-o", plain, "--crf", "8").status == 0
    assert cli("video", room, "-m", tiny_model, "-o", smooth, "--crf", "8", "--smooth", "1").status == 0
    before, after = look_at(plain), look_at(smooth)
    assert after.times == before.times and after.size == before.size
    assert changes(after.pictures[2:]) < 0.7 * changes(before.pictures[2:])
    assert np.abs(np.mean(after.pictures[4:], 0) - np.mean(before.pictures[4:], 0)).mean() < 4


@pytest.mark.parametrize("value", ["-1", "1.5", "nan"])
def test_smooth_goes_from_0_to_1(cli, tiny_model, room, value):
    outcome = cli("video", room, "-m", tiny_model, "--smooth", value)
    assert outcome.status == 1 and len(outcome.errors) == 1 and f"--smooth is {value}" in outcome.errors[0]
    assert list(room.parent.iterdir()) == [room]


@pytest.mark.parametrize(("before", "smooth"), [([], 0.7), (["clean"], 0.0), (["clean"], 0.7)])
def test_a_segment_looks_the_same_wherever_the_run_began(tiny_model, before, smooth):
    from styletransfer.core.zoo import resolve_restorer
    from styletransfer.runtime.chain import load_chain

    chain = load_chain(tiny_model, [resolve_restorer(name) for name in before], provider="cpu")
    factory = stage_factory(chain, Look(smooth=smooth))
    length, count = 40, 88
    frames = [Frame(noisy_room(index, 64, 48), Fraction(index, 25), index=index) for index in range(count)]
    assert 0 < factory.warm_up_frames < length

    def play(first):
        stage = SegmentedStage(factory, segment_frames=length, first_frame=first)
        return {frame.index: stage(frame).frame_hwc for frame in frames[max(0, first - factory.warm_up_frames) :]}

    whole, late = play(0), play(2 * length)
    for index in range(2 * length, count):
        np.testing.assert_array_equal(late[index], whole[index])
    # And where one segment ends and the next begins nothing jumps.
    inside = np.mean([np.abs(whole[i].astype(int) - whole[i - 1]).mean() for i in range(70, 80)])
    assert np.abs(whole[80].astype(int) - whole[79]).mean() < 1.5 * inside
