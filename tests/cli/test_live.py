"""What happens between the camera and the window: styles, keys, mouse, fades, recordings, faults."""

import shutil
import threading
import time
from fractions import Fraction

import numpy as np
import pytest
from clips import look_at, picture
from PIL import Image

from styletransfer.core.errors import CameraError, ModelError, OutputError
from styletransfer.core.frames import Frame
from styletransfer.media.view import ViewState

WIDTH, HEIGHT = 97, 65


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert not set(threading.enumerate()) - before


class Window:
    """A window that notes what it is shown and presses keys when their turn comes, one a frame."""

    def __init__(self, keys, pause_s=0.0):
        self.keys, self.shown, self.full, self.pause_s = list(keys), [], [], pause_s
        self.ready = lambda: bool(self.shown)

    def canvas_size(self, picture_wh):
        return 800, 600

    def show(self, canvas_bgr):
        self.shown.append(canvas_bgr.copy())
        time.sleep(self.pause_s)

    def close(self):
        self.closed = True

    def set_full_screen(self, is_full):
        self.full.append(is_full)

    def events(self):
        from styletransfer.media.window import Event

        if not self.keys or not self.ready():
            return []
        key = self.keys.pop(0)
        return [key if isinstance(key, Event) else Event("key", key)] if key != "." else []


class Camera:
    def __init__(self, frames, fail_at=None, size_wh=(WIDTH, HEIGHT)):
        self.count, self.fail_at, self.size_wh = frames, fail_at, size_wh

    def __enter__(self):
        return self.frames()

    def __exit__(self, *exception):
        pass

    def frames(self):
        for index in range(self.count):
            time.sleep(0.01)
            if index == self.fail_at:
                raise CameraError("camera 0 is gone")
            yield Frame(picture(index, *self.size_wh), Fraction(index, 100), Fraction(0), index, time.perf_counter())


class Played:
    """One run: a camera, styles, a window that presses one key a frame, all in this thread but the styles."""

    def __init__(
        self,
        keys,
        styles,
        folder,
        frames=40,
        *,
        fail_at=None,
        spoil=None,
        window=True,
        options=(),
        size_wh=(WIDTH, HEIGHT),
        **state,
    ):
        pytest.importorskip("cv2")
        from styletransfer.cli.live import LiveStage
        from styletransfer.cli.shelf import StyleShelf
        from styletransfer.cli.show import LiveView
        from styletransfer.runtime import pipeline

        self.window = Window(keys)
        self.shelf = StyleShelf(styles, "cpu")
        self.stage = LiveStage(self.shelf, ViewState(styles=len(styles), **state), **dict(options))
        self.results = []
        stage = self.stage

        def work(frame):
            if spoil is not None:
                spoil(self.shelf, frame.index)
            result = stage(frame)
            self.results.append(result)
            return result

        with self.shelf:
            self.view = LiveView(stage, self.shelf, self.window if window else None, folder=folder)
            self.window.ready = lambda: self.view.last is not None  # not while the style is still loading
            self.stats = pipeline.run(
                Camera(frames, fail_at, size_wh), work, self.view, queue_size=1, idle=self.view.poll
            )

    @property
    def state(self):
        return self.stage.state


def waiting(*keys, frames=15):
    """Keys with time between them, for styles that load in a thread."""
    return [*keys, *["."] * frames]


@pytest.fixture
def styles(tmp_path, tiny_model):
    for name in ("second", "third"):
        shutil.copy(tiny_model, tmp_path / f"{name}.onnx")
    return [tiny_model, tmp_path / "second.onnx", tmp_path / "third.onnx"]


def test_keys_take_snapshots_and_record(tmp_path, tiny_model, capfd):
    played = Played(["space", "space", "r", *"..........", "r", "q"], [tiny_model], tmp_path)
    assert played.stats.frames < 40, "q ends the show"
    shots, (film,) = list(tmp_path.glob("tiny-*.png")), list(tmp_path.glob("tiny-*.mp4"))
    assert len(shots) == 2
    recorded = look_at(film)
    assert 8 <= len(recorded.times) <= 12
    assert recorded.size == (96, 64), "even, so that every player shows it"
    shot = np.asarray(Image.open(shots[0]))
    assert shot.shape == (HEIGHT, WIDTH, 3)
    assert str(film) in capfd.readouterr().err.replace("\n", "")


def test_two_recordings_within_a_second_are_two_files(tmp_path, tiny_model):
    Played(["r", ".", ".", "r", "r", ".", ".", "r", "q"], [tiny_model], tmp_path)
    assert len(list(tmp_path.glob("*.mp4"))) == 2


def test_keys_change_style_strength_and_view(tmp_path, styles):
    played = Played(["2", *["-"] * 10, "s", "i", "i", "."], styles, tmp_path, frames=25, info=0, awake_s=-99.0)
    assert (played.state.style, played.state.strength, played.state.split) == (1, 0.0, True)
    # At strength 0 what is right of the divider is the camera's picture, untouched.
    assert (played.results[-1].stylized_hwc == picture(24, WIDTH, HEIGHT)).all()
    assert (played.window.shown[-1][60:100, 400] == 255).all(), "the divider"


def test_a_new_style_comes_by_a_smooth_fade(tmp_path, styles, monkeypatch):
    """Two styles of one grey each: the picture goes through the greys between."""
    monkeypatch.setattr("styletransfer.cli.live._FADE_S", 1.0)

    def plain(shelf, index):
        if index == 0:
            shelf.run = lambda style, small: np.full_like(small, 200 if style else 40)

    played = Played(["2"], styles, tmp_path, frames=240, spoil=plain)
    assert played.results[-1].style == "second"
    greys = [int(result.stylized_hwc[30, 30, 0]) for result in played.results]
    assert (greys[0], greys[-1]) == (40, 200)
    assert greys == sorted(greys)
    assert len({grey for grey in greys if 50 < grey < 190}) >= 3, "it must not jump"
    assert max(np.diff(greys)) < 80


def inverse_second(shelf, index):
    if index == 0:
        run = shelf.run
        shelf.run = lambda style, small: 255 - run(0, small) if style == 1 else run(style, small)


def test_the_mouse_chooses_a_style_by_its_thumbnail(tmp_path, styles):
    from styletransfer.media.layout import arrange
    from styletransfer.media.window import Event

    thumb = arrange((800, 600), (WIDTH, HEIGHT), 3, 0).thumbs[2]
    spot = (thumb.x + 9, thumb.y + 9)
    clicks = [Event("move", place_xy=spot), Event("down", place_xy=spot), Event("up", place_xy=spot)]
    played = Played(waiting(*clicks, frames=30), styles, tmp_path)
    assert played.state.style == 2
    assert played.results[-1].style == "third"


def test_every_style_gets_a_thumbnail_of_the_camera(tmp_path, styles):
    played = Played(waiting(frames=60), styles, tmp_path, frames=60)
    assert set(played.shelf.thumbnails) == {0, 1, 2}
    assert played.shelf.thumbnails[1].shape == (128, 200, 3)
    # The tiny style exchanges red and blue: the camera's red corner is blue in the thumbnail.
    corner = played.shelf.thumbnails[1][8:30, 60:80].reshape(-1, 3).mean(axis=0)
    assert corner[2] > corner[0] + 50


def test_a_style_that_does_not_load_leaves_the_old_one_running(tmp_path, tiny_model, capfd):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"this is no model")
    played = Played(waiting("n"), [tiny_model, broken], tmp_path, frames=30)
    assert played.stats.frames == 30
    assert played.stage.message == "broken does not load"
    err = capfd.readouterr().err
    assert err.count("warning: ") == 1
    assert "broken.onnx" in err


def fail_second(shelf, index):
    if index == 0:
        run = shelf.run

        def failing(style, small):
            if style == 1:
                raise ModelError("second.onnx: the network fails on it")
            return run(style, small)

        shelf.run = failing


def test_a_style_that_fails_while_it_runs_gives_way_to_one_that_works(tmp_path, styles, capfd):
    played = Played(waiting("2", frames=30), styles, tmp_path, frames=32, spoil=fail_second)
    assert played.stats.frames == 32
    assert played.results[-1].style == "tiny"
    assert "second" in played.stage.message
    assert capfd.readouterr().err.count("warning: second.onnx: the network fails") == 1


def test_the_only_style_failing_ends_the_run_at_once(tmp_path, tiny_model):
    def spoil(shelf, index):
        if index == 5:
            shelf.run = lambda style, small: (_ for _ in ()).throw(ModelError("tiny.onnx: the network fails"))

    started = time.perf_counter()
    with pytest.raises(ModelError, match="the network fails"):
        Played([], [tiny_model], tmp_path, frames=500, spoil=spoil)
    assert time.perf_counter() - started < 3


def test_a_recording_survives_a_camera_that_is_unplugged(tmp_path, tiny_model):
    with pytest.raises(CameraError):
        Played(["r"], [tiny_model], tmp_path, fail_at=20)
    (film,) = tmp_path.glob("*.mp4")
    assert len(look_at(film).times) > 5


def test_a_snapshot_that_cannot_be_written_does_not_end_the_show(tmp_path, tiny_model, monkeypatch, capfd):
    def full(*arguments):
        raise OutputError("the disk is full")

    monkeypatch.setattr("styletransfer.core.pictures.save_picture", full)
    played = Played(["r", ".", "space"], [tiny_model], tmp_path, frames=20)
    assert played.stats.frames == 20
    assert "error: the disk is full" in capfd.readouterr().err
    (film,) = tmp_path.glob("*.mp4")
    assert len(look_at(film).times) == 19, "and not the recording either"


def test_a_recording_that_cannot_be_written_does_not_end_the_show(tmp_path, tiny_model, capfd):
    folder = tmp_path / "folder"
    folder.write_text("a file where the folder should be")
    played = Played(["r"], [tiny_model], folder, frames=30)
    assert played.stats.frames == 30
    assert not played.state.recording
    assert capfd.readouterr().err.count("error: ") == 1


def test_mirror_exchanges_left_and_right(tmp_path, tiny_model):
    played = Played([], [tiny_model], tmp_path, frames=3, strength=0.0, mirror=True)
    assert (played.results[0].stylized_hwc == picture(0, WIDTH, HEIGHT)[:, ::-1]).all()
    assert (played.results[0].camera.frame_hwc == picture(0, WIDTH, HEIGHT)[:, ::-1]).all()


def test_strokes_grow_by_working_on_a_smaller_picture(tmp_path, tiny_model):
    played = Played(["."] * 2 + [">"] * 3 + ["."], [tiny_model], tmp_path, frames=12)
    assert played.results[0].worked_wh == (WIDTH, HEIGHT)
    width, height = played.results[-1].worked_wh
    assert (width, height) == (48, 32)
    assert played.results[-1].stylized_hwc.shape == (HEIGHT, WIDTH, 3)


def test_a_frame_rate_is_held_by_working_smaller(tmp_path, tiny_model):
    from styletransfer.runtime.adaptive import SizeController

    def slow(shelf, index):
        if index == 0:
            run = shelf.run

            def sleepy(style, small):
                time.sleep(0.025 * small.shape[0] * small.shape[1] / (320 * 240))
                return run(style, small)

            shelf.run = sleepy

    options = [("controller", SizeController(60))]
    played = Played([], [tiny_model], tmp_path, 60, spoil=slow, options=options, window=False, size_wh=(320, 240))
    assert played.results[0].worked_wh == (320, 240)
    assert played.results[0].stylized_hwc.shape == played.results[-1].stylized_hwc.shape == (240, 320, 3)
    assert played.results[-1].worked_wh[0] < 300


class Half:
    """A mask network that sees a person in the right half."""

    def __call__(self, frame_hwc):
        mask = np.zeros(frame_hwc.shape[:2], np.uint8)
        mask[:, frame_hwc.shape[1] // 2 :] = 255
        return mask


@pytest.mark.parametrize(("style_on", "styled"), [("person", slice(60, None)), ("background", slice(None, 40))])
def test_the_style_goes_where_it_is_wanted(tmp_path, tiny_model, style_on, styled):
    played = Played([], [tiny_model], tmp_path, frames=3, style_on=style_on, options=[("make_mask", Half)])
    camera, result = played.results[0].camera.frame_hwc, played.results[0].stylized_hwc
    whole = Played([], [tiny_model], tmp_path, frames=3).results[0].stylized_hwc
    assert (result[:, styled] == whole[:, styled]).all()
    rest = slice(None, 40) if style_on == "person" else slice(60, None)
    assert (result[:, rest] == camera[:, rest]).all()


def test_another_style_can_be_put_behind_the_person(tmp_path, styles):
    played = Played([], styles, tmp_path, frames=40, background=1, spoil=inverse_second, options=[("make_mask", Half)])
    result, whole = played.results[-1].stylized_hwc, played.shelf.run(0, picture(39, WIDTH, HEIGHT))
    assert (result[:, 60:] == whole[:, 60:]).all()
    assert (result[:, :40] == 255 - whole[:, :40]).all()


def test_a_mask_network_that_fails_leaves_the_style_on_everything(tmp_path, tiny_model, capfd):
    def broken():
        raise ModelError("mask.onnx: no such file")

    played = Played(
        waiting(frames=5), [tiny_model], tmp_path, frames=8, style_on="person", options=[("make_mask", broken)]
    )
    assert played.stats.frames == 8
    assert not played.stage.can_mask
    assert "style on everything" in played.stage.message
    assert capfd.readouterr().err.count("warning: mask.onnx") == 1


def test_full_screen_and_thumbnails_are_asked_for_once(tmp_path, tiny_model):
    played = Played(["f", ".", ".", "t", "f", "."], [tiny_model], tmp_path, frames=12)
    assert played.window.full == [True, False]


def test_the_window_is_drawn_while_no_frame_comes(tmp_path, tiny_model):
    """A camera that falls silent: the message, and keys that still work."""
    pytest.importorskip("cv2")
    from styletransfer.cli.live import LiveStage
    from styletransfer.cli.shelf import StyleShelf
    from styletransfer.cli.show import LiveView
    from styletransfer.runtime import pipeline

    window, shelf = Window(["s", *["."] * 12, "q"]), StyleShelf([tiny_model], "cpu")
    stage = LiveStage(shelf, ViewState(styles=1))
    said = ["no picture from camera 0 for 1 s"]

    class Silent(Camera):
        def frames(self):
            yield from super().frames()
            while True:
                time.sleep(0.01)
                yield None

    view = LiveView(stage, shelf, window, folder=tmp_path, trouble=lambda: said[0])
    started = time.perf_counter()
    stats = pipeline.run(Silent(1), stage, view, newest_only=True, idle=view.poll, poll_s=0.01)
    assert stats.frames == 1
    assert stage.state.split
    assert len(window.shown) > 2
    assert time.perf_counter() - started < 3
    lower = window.shown[-1][480:].reshape(-1, 3).astype(int)
    assert (lower[:, 2] - lower[:, 0] > 40).any(), "the message is on a red plate"
