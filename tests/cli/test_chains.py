"""Chains in ``video`` and ``webcam``: sizes, sound, names, what a later run takes for finished, the live window."""

from __future__ import annotations

import functools
import json
import re
import runpy
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import look_at, make_clip, picture
from command import one_error
from PIL import Image

pytest.importorskip("onnxruntime")

from styletransfer.cli.stages import Look, stage_factory
from styletransfer.core.frames import Frame
from styletransfer.runtime.chain import Chain, load_chain
from styletransfer.runtime.restorer import Restorer

SUMMARY = re.compile(
    r"dropped, (?P<provider>\w+), (?P<style>\w+) (?P<size>\d+x\d+)(?: \(worked at (?P<worked>\d+x\d+)\))?"
)


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "holiday.mp4", size=(96, 64))


@pytest.fixture
def chain_arguments(tiny_model, tiny_deblock, tiny_upscale2):
    return "--before", tiny_deblock, "--style", tiny_model, "--after", tiny_upscale2


def test_a_clip_is_enlarged_and_keeps_its_sound_and_times(cli, clip, tmp_path, chain_arguments):
    outcome = cli("video", clip, *chain_arguments)
    assert outcome.status == 0 and outcome.err == ""
    before, after = look_at(clip), look_at(tmp_path / "holiday-tiny_deblock-tiny-tiny_upscale2.mp4")
    assert (after.times, after.rate, after.sound) == (before.times, before.rate, before.sound)
    assert after.size == (192, 128)
    corner = after.pictures[0][16:48, 48:80].mean(axis=(0, 1))
    assert corner[2] > corner[0] + 80, "the tiny style exchanges red and blue"


def test_without_a_style_the_clip_is_only_restored(cli, clip, tmp_path, tiny_upscale2):
    assert cli("video", clip, "-m", "none", "--after", tiny_upscale2, "--crf", "1").status == 0
    after = look_at(tmp_path / "holiday-tiny_upscale2.mp4")
    assert after.size == (192, 128)
    doubled = picture(0, 96, 64).astype(int).repeat(2, 0).repeat(2, 1)
    assert np.abs(after.pictures[0] - doubled).mean() < 10


def test_size_is_that_before_the_enlarging(cli, clip, tmp_path, tiny_model, tiny_upscale2):
    outcome = cli("video", clip, "-m", tiny_model, "--after", tiny_upscale2, "--size", "48", "-o", tmp_path / "o.mp4")
    assert outcome.status == 0
    assert look_at(tmp_path / "o.mp4").size == (96, 64)


def test_a_portrait_clip_is_turned_then_enlarged(cli, tmp_path, tiny_model, tiny_upscale2):
    source = make_clip(tmp_path / "phone.mov", size=(96, 64), setup=lambda stream: stream.set_display_rotation(-90))
    assert cli("video", source, "-m", tiny_model, "--after", tiny_upscale2, "-o", tmp_path / "up.mov").status == 0
    after = look_at(tmp_path / "up.mov")
    assert (after.size, after.rotation) == ((128, 192), 0)


def test_an_odd_size_becomes_an_even_one_without_a_warning(cli, tmp_path, tiny_model, tiny_upscale2):
    source = make_clip(tmp_path / "odd.mkv", size=(63, 47), codec="ffv1", pix_fmt="yuv444p")
    outcome = cli("video", source, "-m", tiny_model, "--after", tiny_upscale2, "-o", tmp_path / "even.mp4")
    assert outcome.status == 0 and outcome.err == ""
    assert look_at(tmp_path / "even.mp4").size == (126, 94)


def test_a_batch_makes_results_of_another_chain_again(cli, tmp_path, tiny_model, tiny_deblock, tiny_upscale2):
    folder = tmp_path / "in"
    folder.mkdir()
    make_clip(folder / "a.mp4", size=(32, 24), pts=range(3), sound=())
    other = tmp_path / "other" / tiny_deblock.name
    other.parent.mkdir()
    shutil.copy(tiny_deblock, other)

    def run(*arguments):
        outcome = cli("video", folder, "-m", tiny_model, "-o", tmp_path / "out", *arguments)
        assert outcome.status == 0, outcome.err
        return "1 clips done" in outcome.err

    assert run("--before", tiny_deblock)
    assert not run("--before", tiny_deblock), "finished by the run before"
    assert not run("--before", other), "the same file in another folder"
    shutil.copy(tiny_upscale2, other)
    assert run("--before", other), "another file of the same name"
    assert run("--after", other), "before is not after"
    assert run()


def test_segments_of_an_enlarged_clip_join_to_what_one_go_gives(cli, tmp_path, monkeypatch, chain_arguments):
    from styletransfer.cli import clip as clip_module
    from styletransfer.cli import clips as clips_module

    source = make_clip(tmp_path / "long.mp4", size=(32, 24), pts=range(25))
    assert cli("video", source, *chain_arguments, "-o", tmp_path / "whole.mp4").status == 0
    monkeypatch.setattr(clip_module, "ClipOptions", functools.partial(clip_module.ClipOptions, segment_frames=10))
    monkeypatch.setattr(clips_module, "_LONG_SEGMENTS", 1)
    assert cli("video", source, *chain_arguments, "-o", tmp_path / "pieces.mp4").status == 0
    whole, pieces = look_at(tmp_path / "whole.mp4"), look_at(tmp_path / "pieces.mp4")
    assert (pieces.size, pieces.times, pieces.sound) == ((64, 48), whole.times, whole.sound)
    for one, other in zip(whole.pictures, pieces.pictures, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 4


def test_steadying_comes_before_enlarging(tiny_model, tiny_deblock, tiny_upscale2):
    pytest.importorskip("cv2")
    from styletransfer.media.steady import Smoother

    chain = load_chain(tiny_model, [tiny_deblock], [tiny_upscale2], "cpu")
    frames = [picture(index, 96, 64) for index in range(4)]
    stage = stage_factory(chain, Look(smooth=0.7)).make(0)
    shown = [stage(Frame(frame, Fraction(index, 25), index=index)).frame_hwc for index, frame in enumerate(frames)]
    smoother = Smoother(0.7)
    for frame, result in zip(frames, shown, strict=True):
        clean = chain.clean(frame)
        np.testing.assert_array_equal(result, chain.enlarge(smoother(clean, chain.paint(clean))))
    assert shown[0].shape == (128, 192, 3)


def test_a_chain_that_cannot_be_leaves_nothing(cli, clip, tmp_path, tiny_model, tiny_upscale2):
    before = sorted(tmp_path.iterdir())
    assert one_error(cli("video", clip, "-m", "none"), "--model none leaves nothing to do")
    assert one_error(cli("video", clip, "-m", tiny_upscale2), "is a restoration network (sr, ×2), no style", "--after")
    assert one_error(cli("video", clip, "--before", tiny_model), "is a style, no restoration network")
    assert one_error(cli("video", clip, "--after", "nonsense"), "nonsense: no such restoration network")
    assert sorted(tmp_path.iterdir()) == before


# ---- webcam ----


@pytest.fixture
def webcam(cli, tiny_model, monkeypatch, tmp_path):
    monkeypatch.setenv("DISPLAY", "")
    source = make_clip(tmp_path / "in.mp4", size=(96, 64), rate=Fraction(30), pts=range(8), sound=())

    def run(*arguments):
        outcome = cli("webcam", source, "--headless", "--frames", "6", *arguments)
        assert outcome.status == 0, outcome.err
        return SUMMARY.search(outcome.out)

    return run


def test_the_live_picture_is_enlarged_and_recorded_so(webcam, tmp_path, chain_arguments):
    figures = webcam(*chain_arguments, "--record", tmp_path / "seen.mp4")
    assert (figures["style"], figures["size"], figures["worked"]) == ("tiny", "192x128", "96x64")
    assert look_at(tmp_path / "seen.mp4").size == (192, 128)


def test_size_and_strokes_are_those_of_the_stylized_picture(webcam, tiny_model, tiny_upscale2):
    figures = webcam("-m", tiny_model, "--after", tiny_upscale2, "--size", "48")
    assert (figures["size"], figures["worked"]) == ("96x64", "48x32")
    figures = webcam("-m", tiny_model, "--after", tiny_upscale2, "--stroke", "2")
    assert (figures["size"], figures["worked"]) == ("192x128", "48x32")


def test_no_style_shows_the_restored_camera(webcam, tmp_path, tiny_upscale2, tiny_model, monkeypatch):
    from styletransfer.core import zoo

    (tmp_path / "shelf").mkdir()
    shutil.copy(tiny_model, tmp_path / "shelf" / "one.onnx")
    monkeypatch.setattr(zoo, "models_dir", lambda: tmp_path / "shelf")
    webcam("-m", "none", "--after", tiny_upscale2, "--record", tmp_path / "seen.mp4")
    seen = look_at(tmp_path / "seen.mp4").pictures[-1]
    assert seen.shape == (128, 192, 3)
    corner = seen[16:48, 48:80].mean(axis=(0, 1))
    assert corner[0] > corner[2] + 80, "red stays red without a style"


def live(stage_options, tiny_model, **state):
    pytest.importorskip("cv2")
    from styletransfer.cli.live import LiveStage
    from styletransfer.cli.shelf import StyleShelf
    from styletransfer.media.view import ViewState

    shelf = StyleShelf([tiny_model], "cpu")
    stage = LiveStage(shelf, ViewState(styles=1, **state), restorers=Chain(**stage_options))
    return stage, lambda frame: stage(Frame(frame, Fraction(0)))


@pytest.mark.parametrize("state", [{}, {"strength": 0.5}, {"keep_colors": True}, {"strength": 0.0}])
def test_strength_and_colours_are_mixed_before_the_picture_is_enlarged(tiny_model, tiny_deblock, tiny_upscale2, state):
    restorers = {"before": [Restorer(tiny_deblock, "cpu")], "after": [Restorer(tiny_upscale2, "cpu")]}
    _, show = live(restorers, tiny_model, **state)
    frame = picture(3, 97, 65)
    result = show(frame)
    wanted = load_chain(tiny_model, [tiny_deblock], [tiny_upscale2], "cpu")(frame, **state)
    np.testing.assert_array_equal(result.stylized_hwc, wanted)
    np.testing.assert_array_equal(result.camera.frame_hwc, frame)


def test_the_window_is_as_large_as_the_enlarged_picture_and_split_view_fits_both(tiny_model, tiny_upscale2):
    from styletransfer.cli.screen import Screen

    stage, show = live({"after": [Restorer(tiny_upscale2, "cpu")]}, tiny_model, split=True, divider=0.5)
    asked, shown = [], []

    class Window:
        def canvas_size(self, picture_wh):
            asked.append(picture_wh)
            return picture_wh

        def show(self, canvas_bgr):
            shown.append(canvas_bgr.copy())

    class View:
        state, last = stage.state, show(picture(0, 320, 240))
        figures = staticmethod(tuple)

        @staticmethod
        def told():
            return {
                "titles": ("Tiny",),
                "subtitles": ("",),
                "thumbnails": {},
                "trouble": "",
                "recorded_s": None,
                "can_mask": False,
            }

    Screen(Window()).draw(View)
    assert asked == [(640, 480)] and shown[0].shape == (480, 640, 3)
    red = shown[0][300:340, :300].astype(int)
    assert red.std() > 1, "the camera's half is there"


def test_a_restorer_that_does_not_load_ends_webcam_before_it_begins(cli, tmp_path, tiny_model):
    (tmp_path / "bad.onnx").write_text("no model")
    outcome = cli("webcam", "--headless", "-m", tiny_model, "--after", tmp_path / "bad.onnx")
    assert one_error(outcome, "bad.onnx", "cannot load it")


# ---- the benchmark ----


def test_the_benchmark_times_both_ways_and_writes_its_figures(
    tmp_path, monkeypatch, capsys, tiny_model, tiny_deblock, tiny_upscale2
):
    script = Path(__file__).parents[2] / "benchmarks" / "chain.py"
    if not script.is_file():
        pytest.skip("no benchmarks beside these tests")
    Image.fromarray(picture(0, 96, 64)).save(tmp_path / "photo.png")
    arguments = [tiny_model, "--before", tiny_deblock, "--after", tiny_upscale2, "--size", "64x48", "--repeats", "2"]
    arguments += ["--provider", "cpu", "--json", tmp_path / "chain.json", "--pictures", tmp_path]
    arguments += ["--photo", tmp_path / "photo.png"]
    monkeypatch.setattr(sys, "argv", [str(script), *map(str, arguments)])
    with pytest.raises(SystemExit):
        runpy.run_path(str(script), run_name="__main__")
    report = json.loads((tmp_path / "chain.json").read_text())
    rows = report["results"][0]["rows"]
    assert [row["works_at"] for row in rows] == [[64, 48], [32, 24], [32, 24]]
    assert rows[0]["times_full_size"] == 1 and all(row["fps"] > 0 and row["frames"] == 2 for row in rows)
    assert Image.open(tmp_path / "chain-tiny.jpg").width > 4 * 64
    assert len(capsys.readouterr().out.splitlines()) == 3
