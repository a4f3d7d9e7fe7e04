import contextlib
import functools
import http.server
import sys
import threading
import time
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from clips import make_clip

from styletransfer.core.errors import CameraError, InputError
from styletransfer.media import camera
from styletransfer.media.camera import open_source


@pytest.fixture
def clip(tmp_path):
    """Half a second at 30 frames a second, on a 32 pixels wide picture whose bar says which frame it is."""
    return make_clip(tmp_path / "in.mp4", rate=Fraction(30), pts=range(15), sound=())


def frames_of(live):
    return [frame for frame in live if frame is not None]


def test_a_file_plays_at_its_own_pace_and_ends(clip):
    started = time.perf_counter()
    with open_source(str(clip)) as live:
        frames = frames_of(live)
    assert 0.4 < time.perf_counter() - started < 6
    assert len(frames) + live.dropped == 15
    assert frames[0].frame_hwc.shape == (48, 64, 3)
    assert [f.grabbed_s for f in frames] == sorted(f.grabbed_s for f in frames)
    assert 0.3 < float(frames[-1].pts_s) < 6


def test_a_file_starts_again_when_it_loops(clip):
    with open_source(str(clip), loop=True) as live:
        seen = []
        for frame in live:
            if frame is not None:
                seen.append(frame.index)
            if seen and seen[-1] > 20:
                break
    assert seen[-1] > 15


def test_a_slow_viewer_sees_the_present_not_the_past(clip):
    with open_source(str(clip)) as live:
        for frame in live:
            if frame is not None:
                assert time.perf_counter() - frame.grabbed_s < 0.3
                last = frame.index
                time.sleep(0.12)
    assert last == 14
    assert live.dropped >= 8


def test_a_stream_from_the_network_plays(clip):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = functools.partial(Quiet, directory=clip.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with open_source(f"http://127.0.0.1:{server.server_port}/in.mp4") as live:
            frames = frames_of(live)
        server.shutdown()
    assert len(frames) + live.dropped == 15


@pytest.mark.parametrize(
    ("source", "error", "says"),
    [
        ("nowhere.mp4", InputError, "no such file"),
        ("", InputError, "no such file"),
        ("http://127.0.0.1:9/x", InputError, "cannot be opened"),
        ("97", CameraError, "no camera 97|camera 97 cannot be opened"),
        ("/dev/video97", CameraError, "no camera 97|camera 97 cannot be opened"),
    ],
)
def test_what_is_not_there_is_named_at_once(source, error, says):
    started = time.perf_counter()
    with pytest.raises(error, match=says):
        open_source(source)
    assert time.perf_counter() - started < 5


class Capture:
    """What OpenCV gives for a camera: three frames, then nothing."""

    def __init__(self):
        self.calls, self.left, self.released = [], 3, False

    def isOpened(self):  # noqa: N802
        return True

    def set(self, key, value):
        self.calls.append(key)

    def read(self):
        self.left -= 1
        return self.left >= 0, np.full((48, 64, 3), (1, 2, 3), np.uint8)

    def release(self):
        self.released = True


def test_a_camera_is_asked_for_mjpg_before_the_size_and_gives_rgb(monkeypatch):
    capture = Capture()
    fake = SimpleNamespace(
        VideoCapture=lambda *a: capture,
        VideoWriter=SimpleNamespace(fourcc=lambda *a: 0),
        cvtColor=lambda frame, _: frame[..., ::-1],
        COLOR_BGR2RGB=0,
        CAP_ANY=0,
        CAP_PROP_FOURCC="fourcc",
        CAP_PROP_FRAME_WIDTH="width",
        CAP_PROP_FRAME_HEIGHT="height",
        CAP_PROP_BUFFERSIZE="buffer",
    )
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(camera, "import_cv2", lambda: fake)
    monkeypatch.setattr(camera, "_PAUSE_S", 0.01)
    seen = []
    with open_source("0", size_wh=(640, 480), reconnect_s=0) as live, contextlib.suppress(CameraError):
        for frame in live:
            seen += [] if frame is None else [frame.frame_hwc]
    assert capture.calls[:3] == ["fourcc", "width", "height"]
    assert capture.released
    assert seen[0][0, 0].tolist() == [3, 2, 1]


def test_a_stream_that_breaks_off_is_opened_again(clip, monkeypatch):
    """A stand-in for a network stream: a reader without an end, which ends all the same."""
    from styletransfer.media import live

    monkeypatch.setattr(live, "_RETRY_S", 0.05)
    opened = []

    class Stream(camera.VideoReader):
        def __init__(self, path):
            super().__init__(clip)
            self.is_live = True
            opened.append(path)

    monkeypatch.setattr(camera, "VideoReader", Stream)
    with open_source("rtsp://camera.example/1", reconnect_s=20) as stream:
        for frame in stream:
            if len(opened) > 2 and frame is not None:
                break
    assert opened == ["rtsp://camera.example/1"] * 3


def test_a_missing_system_library_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)  # makes `import cv2` fail
    from styletransfer.media.opencv import import_cv2

    with pytest.raises(CameraError, match="libgl1"):
        import_cv2()
