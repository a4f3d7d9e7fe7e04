import re
import shutil
import time
from fractions import Fraction

import numpy as np
import pytest
from clips import look_at, make_clip, picture

from styletransfer.core.errors import CameraError, OutputError
from styletransfer.core.frames import Frame
from styletransfer.media.window import ViewState

SUMMARY = re.compile(
    r"(?P<frames>\d+) frames in [\d.]+ s: (?P<fps>[\d.]+) fps, age at display p50 (?P<p50>\d+) ms, "
    r"p95 (?P<p95>\d+) ms, (?P<dropped>\d+) dropped, cpu, (?P<style>\w+) (?P<size>\d+x\d+)\n"
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


def test_frames_counts_and_the_file_starts_again(webcam, clip):
    outcome = webcam(clip, "--headless", "--frames", "20", "--size", "48")
    figures = SUMMARY.fullmatch(outcome.out)
    assert figures["frames"] == "20"
    assert figures["size"] == "48x32"
    assert 3 < float(figures["fps"]) < 32, "the clip has 30 frames a second"


def test_what_is_seen_can_be_recorded(webcam, clip, tmp_path):
    target = tmp_path / "seen.mp4"
    outcome = webcam(clip, "--headless", "--frames", "12", "--mirror", "--strength", "0", "--record", target)
    assert outcome.status == 0
    seen = look_at(target)
    assert len(seen.times) == 12
    assert 0.3 < float(seen.times[-1]) < 10
    mirrored = seen.pictures[0]
    assert mirrored[8:24, 70:90, 0].mean() > mirrored[8:24, 8:24, 0].mean() + 80, "red must be on the right"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--headless", "in.mp4", "--frames", "0"], "at least 1"),
        (["--headless", "in.mp4", "--size", "2"], "at least 16"),
        (["--headless", "in.mp4", "--strength", "2"], "0 .* to 1"),
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


class Window:
    """A window that notes what it is shown and presses keys when their turn comes."""

    def __init__(self, keys):
        self.keys, self.shown = list(keys), []

    def show(self, frame_hwc):
        self.shown.append(frame_hwc)

    def pressed_keys(self):
        return [self.keys.pop(0)] if self.keys and self.shown else []


def play(keys, styles, folder, frames=40, fail_at=None):
    """Show camera frames in a window that presses one key a frame; the window and what the run counted."""
    pytest.importorskip("cv2")
    from styletransfer.cli.live import LiveStage, LiveView
    from styletransfer.runtime import pipeline

    class Camera:
        def __enter__(self):
            return self.frames()

        def __exit__(self, *exception):
            pass

        def frames(self):
            for index in range(frames):
                time.sleep(0.01)
                if index == fail_at:
                    raise CameraError("camera 0 is gone")
                yield Frame(picture(index, 97, 65), Fraction(index, 100), Fraction(0), index, time.perf_counter())

    window = Window(keys)
    stage = LiveStage(styles, "cpu", ViewState(styles=len(styles)), None, False)
    view = LiveView(stage, window, folder, None, None)
    pipeline.run(Camera(), stage, view, queue_size=1)
    return window, stage, view


def test_keys_take_snapshots_and_record(tmp_path, tiny_model, capfd):
    window, _, _ = play(["space", "space", "r", *"..........", "r", "q"], [tiny_model], tmp_path)
    assert len(window.shown) < 40, "q ends the show"
    shots, (film,) = list(tmp_path.glob("tiny-*.png")), list(tmp_path.glob("tiny-*.mp4"))
    assert len(shots) == 2
    recorded = look_at(film)
    assert 8 <= len(recorded.times) <= 12
    assert recorded.size == (96, 64), "even, so that every player shows it"
    from PIL import Image

    shot = np.asarray(Image.open(shots[0]))
    assert shot.shape == (65, 97, 3)
    assert str(film) in capfd.readouterr().err.replace("\n", "")


def test_keys_change_style_strength_and_view(tmp_path, tiny_model):
    other = shutil.copy(tiny_model, tmp_path / "other.onnx")
    window, stage, _ = play(["n", *["-"] * 10, "s", "."], [tiny_model, tmp_path / "other.onnx"], tmp_path, frames=20)
    assert other.exists()
    assert (stage.state.style, stage.state.strength, stage.state.split) == (1, 0.0, True)
    # A white line parts the halves; at strength 0 what is right of it is the camera's picture, untouched.
    last = window.shown[-1]
    assert (last[50:, 47:49] == 255).all()
    assert (last[50:, 52:] == picture(19, 97, 65)[50:, 52:]).all()
    assert len(window.shown) == 20


def test_a_style_that_does_not_load_leaves_the_old_one_running(tmp_path, tiny_model, capfd):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"this is no model")
    window, stage, _ = play(["n", ".", "."], [tiny_model, broken], tmp_path, frames=12)
    assert len(window.shown) == 12
    assert stage.message == "broken does not load"
    err = capfd.readouterr().err
    assert err.count("warning: ") == 1
    assert "broken.onnx" in err


def test_a_recording_survives_a_camera_that_is_unplugged(tmp_path, tiny_model):
    with pytest.raises(CameraError):
        play(["r"], [tiny_model], tmp_path, fail_at=20)
    (film,) = tmp_path.glob("*.mp4")
    assert len(look_at(film).times) > 5


def test_a_snapshot_that_cannot_be_written_does_not_end_the_show(tmp_path, tiny_model, monkeypatch, capfd):
    def full(*arguments):
        raise OutputError("the disk is full")

    monkeypatch.setattr("styletransfer.core.pictures.save_picture", full)
    window, _, _ = play(["r", ".", "space"], [tiny_model], tmp_path, frames=20)
    assert len(window.shown) == 20
    assert "error: the disk is full" in capfd.readouterr().err
    (film,) = tmp_path.glob("*.mp4")
    assert len(look_at(film).times) == 19, "and not the recording either"


def test_a_recording_that_cannot_be_written_does_not_end_the_show(tmp_path, tiny_model, capfd):
    folder = tmp_path / "folder"
    folder.write_text("a file where the folder should be")
    window, stage, _ = play(["r"], [tiny_model], folder, frames=12)
    assert len(window.shown) == 12
    assert not stage.state.recording
    assert capfd.readouterr().err.count("error: ") == 1
