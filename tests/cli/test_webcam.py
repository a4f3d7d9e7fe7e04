import re
import sys
import threading
from fractions import Fraction
from types import SimpleNamespace

import pytest
from clips import look_at, make_clip, picture

SUMMARY = re.compile(
    r"(?P<frames>\d+) frames in [\d.]+ s: (?P<fps>[\d.]+) fps, age at display p50 (?P<p50>\d+) ms, "
    r"p95 (?P<p95>\d+) ms, (?P<dropped>\d+) dropped, \w+, (?P<style>\w+) (?P<size>\d+x\d+)"
    r"(?: \(worked at (?P<worked>\d+x\d+)\))?\n"
    r"stages, p50 / p95 ms: wait \d+ / \d+, stylize \d+ / \d+, show \d+ / \d+(?P<more>.*)\n"
)


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "in.mp4", size=(96, 64), rate=Fraction(30), pts=range(15), sound=())


@pytest.fixture
def webcam(cli, tiny_model, monkeypatch):
    monkeypatch.setenv("DISPLAY", "")
    return lambda *args: cli("webcam", "-m", tiny_model, *args)


def test_a_file_stands_in_for_a_camera(webcam, clip):
    outcome = webcam(clip, "--headless")
    assert outcome.status == 0
    figures = SUMMARY.fullmatch(outcome.out)
    assert int(figures["frames"]) + int(figures["dropped"]) == 15
    assert figures["style"] == "tiny"
    assert figures["size"] == "96x64"
    assert 0 < int(figures["p50"]) <= int(figures["p95"]) < 2000
    assert figures["worked"] is None


@pytest.mark.parametrize(("provider", "first"), [("cpu", "starry_night_int8"), ("cuda", "starry_night")])
def test_without_a_style_the_first_is_fast_where_it_runs(provider, first):
    from styletransfer.cli.webcam import _styles

    assert _styles(None, provider)[0].stem == first


def test_large_strokes_come_from_a_small_picture(webcam, clip):
    figures = SUMMARY.fullmatch(webcam(clip, "--headless", "--stroke", "2").out)
    assert (figures["size"], figures["worked"]) == ("96x64", "48x32")


def test_a_frame_rate_that_is_held_anyway_changes_nothing(webcam, clip):
    figures = SUMMARY.fullmatch(webcam(clip, "--headless", "--fps", "2").out)
    assert (figures["size"], figures["worked"]) == ("96x64", None)


def test_frames_counts_and_the_file_starts_again(webcam, clip):
    outcome = webcam(clip, "--headless", "--frames", "20", "--size", "48")
    figures = SUMMARY.fullmatch(outcome.out)
    assert figures["frames"] == "20"
    assert figures["size"] == "48x32"
    assert 3 < float(figures["fps"]) < 40, "the clip has 30 frames a second"


def test_the_rate_of_a_handful_of_frames_is_that_of_the_whole_run(webcam, clip):
    out = webcam(clip, "--headless", "--frames", "3").out
    seconds = float(re.search(r"in ([\d.]+) s", out)[1])
    assert float(SUMMARY.fullmatch(out)["fps"]) == pytest.approx(3 / max(seconds, 0.05), rel=0.6)


def test_what_is_seen_can_be_recorded(webcam, clip, tmp_path):
    target = tmp_path / "seen.mp4"
    outcome = webcam(clip, "--headless", "--frames", "12", "--mirror", "--strength", "0", "--record", target)
    assert outcome.status == 0
    assert ", record " in SUMMARY.fullmatch(outcome.out)["more"]
    assert f"recording: {target}, 12 frames" in outcome.err.replace("\n", "")
    seen = look_at(target)
    assert len(seen.times) == 12
    assert 0.3 < float(seen.times[-1]) < 10
    mirrored = seen.pictures[0]
    assert mirrored[8:24, 70:90, 0].mean() > mirrored[8:24, 8:24, 0].mean() + 80, "red must be on the right"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--headless", "in.mp4", "--frames", "0"], "at least 1"),
        (["--headless", "in.mp4", "--size", "2"], "16 to 16384"),
        (["--headless", "in.mp4", "--strength", "2"], "0 .* to 1"),
        (["--headless", "in.mp4", "--strength", "nan"], "0 .* to 1"),
        (["--headless", "in.mp4", "--stroke", "9"], "0.5 .* to 3"),
        (["--headless", "in.mp4", "--fps", "0"], "1 to 240"),
        (["--headless", "in.mp4", "--reconnect", "-1"], "0 to 86400"),
        (["--headless", "in.mp4", "--style-on", "nose"], "person, background"),
        (["--headless", "in.mp4", "--style-on", "person", "--background-model", "in.mp4"], "--style-on both"),
        (["--headless", "in.mp4", "--background-model", "no_such_style"], "no_such_style"),
        (["--headless", "in.mp4", "--mask-model", "words.txt"], "words.txt"),
        (["--headless", "in.mp4", "--mask-model", "nowhere.onnx"], "nowhere.onnx"),
        (["--headless", "in.mp4", "--record", "x.xyz"], r"\.mp4"),
        (["--headless", "nowhere.mp4"], "no such file"),
        (["--headless", ""], "no such file"),
        (["--headless", "words.txt"], "no video"),
        (["--headless", "97"], "camera 97"),
        (["--headless", "in.mp4", "--provider", "abacus"], "abacus"),
        (["--headless", "in.mp4", "-m", "no_such_style"], "no_such_style"),
        (["in.mp4"], "--headless"),
    ],
)
def test_what_cannot_be_is_one_line(webcam, clip, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("no clip")
    outcome = webcam(*arguments)
    assert outcome.status == 1
    assert len(outcome.err.splitlines()) == 1
    assert re.search(says, outcome.errors[0])


def test_a_recording_that_cannot_be_written_is_the_error_of_a_run_without_a_window(webcam, clip, tmp_path):
    folder = tmp_path / "folder"
    folder.write_text("a file where the folder should be")
    outcome = webcam(clip, "--headless", "--frames", "40", "--record", folder / "x.mp4")
    assert outcome.status == 1
    assert str(folder) in outcome.errors[0]


def virtual(monkeypatch, camera):
    monkeypatch.setitem(sys.modules, "pyvirtualcam", SimpleNamespace(Camera=camera) if camera else None)


def test_a_virtual_camera_gets_the_frames(webcam, clip, monkeypatch):
    sent = []

    class Camera:
        device = "/dev/video9"

        def __init__(self, width, height, fps):
            self.size, self.fps = (width, height), fps

        def send(self, frame):
            sent.append((frame, self.size, self.fps, threading.current_thread().name))

        def close(self):
            sent.append("closed")

    virtual(monkeypatch, Camera)
    outcome = webcam(clip, "--headless", "--virtual-camera", "--frames", "20", "--strength", "0", "--fps", "25")
    assert outcome.status == 0
    assert ", virtual camera " in SUMMARY.fullmatch(outcome.out)["more"]
    assert sent.pop() == "closed"
    sent = [entry for entry in sent if entry != "closed"]  # the camera of the first moment, of another size
    frame, size, fps, thread = sent[0]
    assert (frame.shape, size, fps, thread) == ((64, 96, 3), (96, 64), 25, "virtual-camera")
    assert frame[10, 45, 0] > 150 > frame[10, 45, 2], "RGB"
    assert len(sent) > 5


def test_no_virtual_camera_is_one_line_that_mends_it(webcam, clip, monkeypatch):
    def nothing(**_):
        raise RuntimeError("no device found")

    virtual(monkeypatch, nothing)
    outcome = webcam(clip, "--headless", "--virtual-camera", "--frames", "400")
    assert outcome.status == 1
    assert re.search("no virtual camera .*; .*(v4l2loopback|OBS)", outcome.errors[0])
    virtual(monkeypatch, None)
    outcome = webcam(clip, "--headless", "--virtual-camera")
    assert (outcome.status, len(outcome.err.splitlines())) == (1, 1)
    assert "pip install 'styletransfer[virtual-camera]'" in outcome.errors[0]


def test_a_camera_that_was_unplugged_is_named_and_waited_for(webcam, monkeypatch):
    from styletransfer.media import camera, live

    monkeypatch.setattr(live, "_RETRY_S", 0.05)
    opened = []

    def open_source(source, *, size_wh, loop, reconnect_s):
        def connect(stop):
            opened.append(1)
            for index in range(8 if len(opened) == 1 else 100):
                if stop.wait(0.02):
                    return
                yield picture(index, 96, 64)

        return live.LiveSource(connect, "camera 0", reconnect_s=reconnect_s)

    monkeypatch.setattr(camera, "open_source", open_source)
    outcome = webcam("0", "--headless", "--frames", "30")
    assert outcome.status == 0
    assert len(opened) == 2
    assert outcome.err.count("warning: camera 0 is gone: trying to open it again") == 1
    assert "frames come again" in outcome.err
    assert SUMMARY.fullmatch(outcome.out)["frames"] == "30"
    outcome = webcam("0", "--headless", "--frames", "999", "--reconnect", "0")
    assert outcome.status == 1
    assert "unplugged" in outcome.errors[0]
    assert SUMMARY.fullmatch(outcome.out), "what was seen is counted all the same"
