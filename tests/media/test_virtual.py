import sys
from types import SimpleNamespace

import numpy as np
import pytest

from styletransfer.core.errors import MissingExtraError, OutputError
from styletransfer.media.virtual import VirtualCamera

PICTURE = np.full((49, 65, 3), (1, 2, 3), np.uint8)


class Device:
    """What pyvirtualcam gives for a camera."""

    made: list = []  # noqa: RUF012

    def __init__(self, width, height, fps):
        self.size, self.fps, self.frames, self.closed = (width, height), fps, [], False
        self.device = "/dev/video7"
        Device.made.append(self)

    def send(self, frame):
        if len(self.frames) == 5:
            raise OSError("it was unplugged")
        assert frame.flags.c_contiguous
        self.frames.append(frame)

    def close(self):
        self.closed = True


@pytest.fixture
def devices(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvirtualcam", SimpleNamespace(Camera=Device))
    Device.made = []
    return Device.made


def test_frames_arrive_with_even_sides_and_the_camera_is_closed(devices):
    with VirtualCamera(25) as camera:
        camera.write(PICTURE)
        camera.write(PICTURE)
        assert camera.device == "/dev/video7"
    (device,) = devices
    assert (device.size, device.fps, len(device.frames)) == ((64, 48), 25, 2)
    assert (device.frames[0] == (1, 2, 3)).all()
    assert device.closed


def test_another_size_opens_it_anew(devices):
    with VirtualCamera() as camera:
        camera.write(PICTURE)
        camera.write(np.zeros((100, 100, 3), np.uint8))
    assert [device.size for device in devices] == [(64, 48), (100, 100)]
    assert all(device.closed for device in devices)


def test_a_camera_that_fails_is_one_clear_error(devices):
    with VirtualCamera() as camera, pytest.raises(OutputError, match=r"takes no frames any more \(it was unplugged\)"):
        for _ in range(9):
            camera.write(PICTURE)


def test_no_device_names_what_makes_one(monkeypatch):
    def nothing(**_):
        raise RuntimeError("'v4l2loopback' backend: no device\nfound")

    monkeypatch.setitem(sys.modules, "pyvirtualcam", SimpleNamespace(Camera=nothing))
    for platform, says in (("linux", "modprobe v4l2loopback"), ("win32", "OBS"), ("darwin", "OBS"), ("sunos", "list")):
        monkeypatch.setattr(sys, "platform", platform)
        with VirtualCamera() as camera, pytest.raises(OutputError, match=says) as caught:
            camera.write(PICTURE)
        assert "\n" not in str(caught.value)


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'styletransfer\[virtual-camera\]'"):
        VirtualCamera()
