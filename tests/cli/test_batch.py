"""Many clips and styles in one run: what is finished stays finished, what was begun goes on."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import namedtuple
from fractions import Fraction

import numpy as np
import pytest
from clips import look_at, make_clip

from styletransfer.core.frames import Frame
from styletransfer.media.journal import Journal

FRAMES = 300  # two segments and a half
SETTINGS = ("--size", "64", "--preset", "ultrafast", "--provider", "cpu")


@pytest.fixture
def video(cli, tiny_model):
    """Run ``styletransfer video -m tiny ARGS``."""
    return lambda *args: cli("video", "-m", tiny_model, *SETTINGS, *args)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    make_clip(tmp_path / "in" / "long.mp4", pts=range(FRAMES), rate=Fraction(30))
    make_clip(tmp_path / "in" / "short.mkv", rate=Fraction(25))
    return tmp_path / "in"


def results(out):
    return sorted(str(path.relative_to(out)) for path in out.rglob("*.m*") if ".styletransfer" not in path.parts)


def segments(out):
    return sorted((out / ".styletransfer").glob("*/*"))


def assert_same(one, other):
    before, after = look_at(one), look_at(other)
    assert after.times == before.times
    assert after.sound == before.sound
    assert all(np.array_equal(a, b) for a, b in zip(before.pictures, after.pictures, strict=True))


KILLED = """
import os, signal, sys
from styletransfer.runtime.stylizer import Stylizer
left, number = int(sys.argv.pop(1)), int(sys.argv.pop(1))
stylize = Stylizer.__call__
def counted(self, *args, **options):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), number)
    return stylize(self, *args, **options)
Stylizer.__call__ = counted
from styletransfer.cli.app import main
main(sys.argv[1:])
"""


def run_killed(after_frames, number, *arguments):
    """Run a command that a signal hits after so many stylized frames."""
    command = [sys.executable, "-c", KILLED, str(after_frames), str(int(number)), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def killed(tiny_model):
    return lambda frames, number, *args: run_killed(frames, number, "video", "-m", tiny_model, *SETTINGS, *args)


def test_what_kill_9_leaves_goes_on_and_ends_as_if_nothing_had_happened(video, killed, folder, tmp_path):
    assert video(folder, "-o", tmp_path / "whole").status == 0
    out = tmp_path / "out"
    for frames, kept in ((140, 120), (20, 120), (150, 240)):
        assert killed(frames, signal.SIGKILL, folder, "-o", out).returncode == -signal.SIGKILL
        assert results(out) == [], "nothing stands under its final name before it is complete"
        with sqlite3.connect(out / ".styletransfer" / "journal.sqlite") as base:
            assert base.execute("select sum(frames) from segment").fetchone() == (kept,)
    (out / ".long.x1y2z3w4.part.mp4").write_bytes(b"what a kill during the last step leaves")
    outcome = video(folder, "-o", out, "--report", tmp_path / "report.json")
    assert outcome.status == 0, outcome.err
    assert f"long.mp4: {FRAMES} frames (240 of them by an earlier run)" in outcome.out
    report = {
        r["target"].rpartition(os.sep)[2]: r for r in json.loads((tmp_path / "report.json").read_text())["results"]
    }
    assert report["long.mp4"]["frames_stylized_in_this_run"] == FRAMES - 240
    assert sorted(path.name for path in out.iterdir()) == [".styletransfer", "long.mp4", "short.mkv"]
    assert segments(out) == []
    for name in results(out):
        assert_same(tmp_path / "whole" / name, out / name)


def test_a_kill_while_the_segments_are_joined_costs_no_frame(video, killed, folder, tmp_path, monkeypatch):
    from styletransfer.media import segments as module

    def full(*args, **options):
        raise OSError(28, "No space left on device")

    out = tmp_path / "out"
    monkeypatch.setattr(module, "join", full)
    outcome = video(folder, "-o", out)
    assert outcome.status == 1
    assert results(out) == ["short.mkv"]
    assert len(outcome.errors) == 1 and "long.mp4" in outcome.errors[0]
    assert len(segments(out)) == 3
    monkeypatch.undo()
    outcome = video(folder, "-o", out)
    assert outcome.status == 0, outcome.err
    assert f"{FRAMES} frames ({FRAMES} of them by an earlier run)" in outcome.out
    assert "short.mkv: finished by an earlier run" in outcome.out


@pytest.mark.parametrize("spoil", ["cut", "remove all"])
def test_spoiled_segments_are_made_again(video, killed, folder, tmp_path, spoil):
    assert video(folder, "-o", tmp_path / "whole").status == 0
    out = tmp_path / "out"
    killed(250, signal.SIGKILL, folder, "-o", out)
    parts = [path for path in segments(out) if not path.name.startswith(".")]
    assert len(parts) == 2
    if spoil == "cut":
        parts[1].write_bytes(parts[1].read_bytes()[:-100])
    else:
        for part in parts[0 if spoil == "remove all" else 1 :]:
            part.unlink()
    outcome = video(folder, "-o", out)
    assert outcome.status == 0, outcome.err
    assert ("120 of them" in outcome.out) == (spoil != "remove all")
    assert_same(tmp_path / "whole" / "long.mp4", out / "long.mp4")


def test_ctrl_c_says_how_to_go_on(video, killed, folder, tmp_path):
    stopped = killed(200, signal.SIGINT, folder, "-o", tmp_path / "out", "--jobs", "1")
    assert stopped.returncode == 130, stopped.stderr
    (line,) = (line for line in stopped.stderr.splitlines() if line.startswith("error: "))
    assert "0 of 2 clips are finished" in line and "run the same command again" in line
    assert results(tmp_path / "out") == []
    outcome = video(folder, "-o", tmp_path / "out")
    assert outcome.status == 0
    assert "120 of them by an earlier run" in outcome.out


def test_finished_results_are_left_alone_until_something_changes(video, folder, tmp_path):
    out = tmp_path / "out"
    assert video(folder, "-o", out).status == 0
    before = {name: (out / name).stat().st_mtime_ns for name in results(out)}

    def remade(*args):
        outcome = video(folder, "-o", out, *args)
        assert outcome.status == 0, outcome.err
        after = {name: (out / name).stat().st_mtime_ns for name in results(out)}
        changed = {name for name in after if after[name] != before.get(name)}
        before.update(after)
        return changed, outcome

    changed, outcome = remade()
    assert changed == set()
    assert outcome.out.count("finished by an earlier run") == 2
    assert "0 clips done, 2 done before, 0 failed" in outcome.err
    (out / "short.mkv").unlink()
    assert remade()[0] == {"short.mkv"}
    (out / "short.mkv").write_bytes(b"cut off")
    assert remade()[0] == {"short.mkv"}
    os.utime(folder / "short.mkv", (1, 1))
    assert remade()[0] == {"short.mkv"}, "another clip under the same name"
    assert remade("--strength", "0.5")[0] == {"long.mp4", "short.mkv"}
    assert remade("--strength", "0.5", "--overwrite")[0] == {"long.mp4", "short.mkv"}


def test_settings_are_not_mixed_within_a_clip(video, killed, folder, tmp_path):
    killed(250, signal.SIGKILL, folder, "-o", tmp_path / "out")
    assert video(folder, "-o", tmp_path / "out", "--strength", "0").status == 0
    assert video(folder, "-o", tmp_path / "plain", "--strength", "0").status == 0
    assert_same(tmp_path / "plain" / "long.mp4", tmp_path / "out" / "long.mp4")
    assert segments(tmp_path / "out") == []


def test_several_styles_each_make_their_own_result(cli, tiny_model, folder, tmp_path):
    other = tmp_path / "other.onnx"
    other.write_bytes(tiny_model.read_bytes())
    outcome = cli("video", folder, "-o", tmp_path / "out", "-m", tiny_model, "-m", other, *SETTINGS)
    assert outcome.status == 0, outcome.err
    assert results(tmp_path / "out") == ["long-other.mp4", "long-tiny.mp4", "short-other.mkv", "short-tiny.mkv"]
    assert_same(tmp_path / "out" / "long-other.mp4", tmp_path / "out" / "long-tiny.mp4")


def test_clips_side_by_side_come_out_as_one_by_one(video, folder, tmp_path):
    for index in range(3):
        make_clip(folder / f"{index}.mp4", pts=range(130))
    (folder / "words.mp4").write_text("no clip")
    assert video(folder, "-o", tmp_path / "one").status == 1
    outcome = video(folder, "-o", tmp_path / "side", "--jobs", "3")
    assert outcome.status == 1
    assert "5 clips done, 1 failed" in outcome.err
    assert results(tmp_path / "side") == results(tmp_path / "one")
    for name in results(tmp_path / "one"):
        assert look_at(tmp_path / "side" / name).times == look_at(tmp_path / "one" / name).times


def test_ctrl_c_stops_clips_side_by_side(killed, folder, tmp_path):
    make_clip(folder / "second.mp4", pts=range(FRAMES), rate=Fraction(30))
    started = time.monotonic()
    stopped = killed(100, signal.SIGINT, folder, "-o", tmp_path / "out", "--jobs", "2")
    assert stopped.returncode == 130, stopped.stderr
    assert "run the same command again" in stopped.stderr
    assert time.monotonic() - started < 20


def test_the_table_and_the_report_tell_what_became_of_each(video, folder, tmp_path):
    (folder / "words.mp4").write_text("no clip at all")
    outcome = video(folder, "-o", tmp_path / "out", "--report", tmp_path / "r" / "report.json")
    assert outcome.status == 1
    lines = outcome.err.splitlines()
    for name, word in (("long.mp4", "done"), ("short.mkv", "done"), ("words.mp4", "failed")):
        assert any(line.startswith(name) and line.rstrip().endswith(word) for line in lines)
    assert lines[-2].startswith("error: ") and "words.mp4" in lines[-2], "the reasons stand at the end"
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert [(r["status"], r["frames"]) for r in report["results"]] == [("done", FRAMES), ("done", 12)]
    assert report["settings"]["look"]["strength"] == 1.0
    (failure,) = report["failed_inputs"]
    assert failure["source"].endswith("words.mp4") and failure["error"] in outcome.err


def test_a_second_run_in_the_same_folder_is_refused(video, folder, tmp_path):
    with Journal(tmp_path / "out"):
        outcome = video(folder, "-o", tmp_path / "out")
    assert outcome.status == 1
    assert len(outcome.errors) == 1 and "another run is at work there" in outcome.errors[0]
    assert video(folder, "-o", tmp_path / "out").status == 0


def test_a_disk_without_room_is_told_before_the_work(video, folder, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10, 9, 50_000))
    outcome = video(folder, "-o", tmp_path / "out")
    assert outcome.status == 1
    assert len(outcome.errors) == 1 and "50 kB are free" in outcome.errors[0]
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    assert video(folder, "-o", tmp_path / "out").status == 0
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10, 9, 50_000))
    assert video(folder, "-o", tmp_path / "out").status == 0, "nothing more has to be written"


def test_a_single_clip_leaves_nothing_but_its_result(video, folder, tmp_path):
    out = tmp_path / "out"
    assert video(folder / "long.mp4", "-o", out / "x.mp4").status == 0
    assert [path.name for path in out.iterdir()] == ["x.mp4"]


def test_a_single_long_clip_can_be_resumed_and_leaves_nothing_either(video, killed, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("styletransfer.cli.clips._LONG_SEGMENTS", 2)
    out = tmp_path / "out"
    whole = video(folder / "long.mp4", "-o", tmp_path / "whole.mp4")
    assert whole.status == 0 and "clips done" not in whole.err

    from styletransfer.media.encode import VideoWriter

    def full(self, packet):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(VideoWriter, "write_packet", full)
        assert video(folder / "long.mp4", "-o", out / "x.mp4").status == 1
    assert [path.name for path in out.iterdir()] == [".styletransfer"]
    outcome = video(folder / "long.mp4", "-o", out / "x.mp4")
    assert outcome.status == 0, outcome.err
    assert "300 of them by an earlier run" in outcome.out
    assert [path.name for path in out.iterdir()] == ["x.mp4"]
    assert_same(tmp_path / "whole.mp4", out / "x.mp4")


def test_what_a_container_cannot_hold_is_told_before_the_work(video, folder, tmp_path, monkeypatch):
    from styletransfer.runtime.stylizer import Stylizer

    def never(self, *args, **options):
        raise AssertionError("stylized in vain")

    monkeypatch.setattr(Stylizer, "__call__", never)
    monkeypatch.setattr("styletransfer.cli.clips._LONG_SEGMENTS", 2)
    outcome = video(folder / "long.mp4", "-o", tmp_path / "out" / "x.webm")
    assert outcome.status == 1
    assert "--no-audio" in outcome.errors[0]


def test_warm_up_frames_reach_a_fresh_stage_at_every_segment():
    from styletransfer.cli.stages import SegmentedStage, StageFactory

    class Witness:
        """Every result is the list of the frames that it has seen."""

        def __init__(self, index):
            self.seen = []

        def see(self, frame):
            self.seen.append(frame.index)

        def __call__(self, frame):
            self.see(frame)
            return list(self.seen)

    def run(first, start):
        stage = SegmentedStage(StageFactory(Witness, warm_up_frames=3), segment_frames=10, first_frame=first)
        picture = np.zeros((1, 1, 3), np.uint8)
        return {i: stage(Frame(picture, Fraction(i), index=i)) for i in range(start, 25)}

    whole = run(0, 0)
    assert whole[2] == [0, 1, 2]
    assert whole[10] == [7, 8, 9, 10]
    assert whole[19] == list(range(7, 20))
    resumed = run(10, 7)
    assert {i: resumed[i] for i in range(10, 25)} == {i: whole[i] for i in range(10, 25)}
    with contextlib.suppress(KeyError):
        assert isinstance(resumed[8], Frame), "handed on as it is: its result counts for nothing"


def test_a_clip_does_not_remove_what_another_thread_is_writing(video, tmp_path):
    name = "2024-07-15 Family holiday in the mountains, part"  # the same first forty characters
    (tmp_path / "in").mkdir()
    for index in range(6):
        make_clip(tmp_path / "in" / f"{name} {index}.mp4", rate=Fraction(25))
        make_clip(tmp_path / "in" / f"holiday.{index}.mp4", rate=Fraction(25))
    make_clip(tmp_path / "in" / "holiday.mp4", rate=Fraction(25))
    outcome = video(tmp_path / "in", "-o", tmp_path / "out", "--jobs", "4")
    assert outcome.status == 0, outcome.err
    assert len(results(tmp_path / "out")) == 13


def test_the_room_that_is_needed_goes_by_codec_and_quality(tmp_path):
    from styletransfer.media.codecs import EncoderSettings

    def bits(codec="", crf=None):
        return EncoderSettings(codec, crf).bits_a_pixel(tmp_path / "x.mov")

    assert bits("prores") > 2 * bits() > 4 * bits(crf=30) and bits(crf=12) == pytest.approx(2 * bits())


def test_a_clip_in_one_piece_keeps_no_frames_for_later_ones():
    from styletransfer.cli.stages import SegmentedStage, StageFactory

    factory = StageFactory(lambda _: lambda frame: frame, warm_up_frames=45)
    frames = [Frame(np.zeros((2, 2, 3), np.uint8), Fraction(index), index=index) for index in range(50)]
    stage = SegmentedStage(factory)
    held = [sys.getrefcount(frame) for frame in frames]
    assert all(stage(frame) is frame for frame in frames)
    assert [sys.getrefcount(frame) for frame in frames] == held


def test_a_small_disk_does_for_a_small_clip(video, folder, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10, 9, 900_000))
    assert video(folder / "short.mkv", "-o", tmp_path / "out.mkv").status == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every file name is text")
def test_names_that_are_no_text_do_not_stop_a_batch(video, tmp_path):
    (tmp_path / "in").mkdir()
    for name in (b"a.mp4", b"c\xff.mp4", b"z.mp4"):
        make_clip(tmp_path / "x.mp4", rate=Fraction(25)).rename(tmp_path / "in" / os.fsdecode(name))
    report = tmp_path / "report.json"
    outcome = video(tmp_path / "in", "-o", tmp_path / "out", "--report", report)
    assert outcome.status == 0, outcome.err
    assert len(results(tmp_path / "out")) == 3
    assert len(json.loads(report.read_text())["results"]) == 3
    assert "3 done before" in video(tmp_path / "in", "-o", tmp_path / "out").err


def test_a_mistake_of_ours_in_one_clip_does_not_stop_the_others(video, folder, tmp_path, monkeypatch):
    from styletransfer.cli import batch

    make = batch.stylize_clip

    def mistaken(source, *args):
        if source.name == "short.mkv":
            raise ZeroDivisionError("oh")
        return make(source, *args)

    monkeypatch.setattr(batch, "stylize_clip", mistaken)
    make_clip(folder / "third.mp4", rate=Fraction(25))
    outcome = video(folder, "-o", tmp_path / "out")
    assert outcome.status == 1
    assert len(outcome.errors) == 1 and "short.mkv: ZeroDivisionError: oh" in outcome.errors[0]
    assert results(tmp_path / "out") == ["long.mp4", "third.mp4"]


@pytest.mark.parametrize("where", ["the clip", "the result", "the model", "a folder"])
def test_a_report_replaces_nothing_else(video, folder, tmp_path, tiny_model, where):
    source, target = folder / "short.mkv", tmp_path / "out.mkv"
    report = {"the clip": source, "the result": target, "the model": tiny_model, "a folder": folder}[where]
    before = source.read_bytes()
    outcome = video(source, "-o", target, "--report", report)
    assert outcome.status == 1 and len(outcome.errors) == 1 and "--report" in outcome.errors[0]
    assert source.read_bytes() == before and not target.exists()


@pytest.mark.parametrize("output", ["-", ""])
def test_a_clip_goes_into_a_file(video, folder, tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    outcome = video(folder / "short.mkv", "-o", output)
    assert outcome.status == 1 and "name a file or a folder with -o" in outcome.errors[0]
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_file_that_announces_far_more_than_it_holds_is_not_refused(video, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**9, 10**9, 60_000_000))
    pts = [*range(10), 250_000_000]  # a stray time stamp: four months
    clip = make_clip(tmp_path / "far.mkv", pts=pts, rate=Fraction(25), sound=())
    outcome = video(clip, "-o", tmp_path / "out.mkv")
    assert outcome.status == 0, outcome.err


def test_a_full_disk_is_told_how_much_it_lacks(video, folder, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10, 9, 53_000))
    outcome = video(folder / "short.mkv", "-o", tmp_path / "out.mkv")
    (line,) = outcome.errors
    needed, free = map(int, re.findall(r"(\d+) kB", line))
    assert needed > free == 53
