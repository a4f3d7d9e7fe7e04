import ctypes
import ctypes.util
import os
import shutil
import subprocess
import sys
import time
from fractions import Fraction

import numpy as np
import pytest
from clips import look_at, make_clip
from PIL import Image

from styletransfer.core.errors import OutputError
from styletransfer.media.display import check_display
from styletransfer.media.layout import arrange

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only X11 has DISPLAY")
SIZE_WH = (160, 120)
CANVAS_WH = (1067, 800)  # the window's first size for such a picture


@LINUX
@pytest.mark.parametrize("display", ["", ":4711", "nonsense", ":99999999"])
def test_without_a_display_the_way_out_is_named(monkeypatch, display):
    monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(OutputError, match="--headless"):
        check_display()


@pytest.fixture
def display(tmp_path):
    """A virtual display, empty, with the number it chose."""
    if not shutil.which("Xvfb") or not shutil.which("xdotool"):
        pytest.skip("needs Xvfb and xdotool")
    reads, writes = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writes), "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
        pass_fds=[writes],
        stderr=subprocess.DEVNULL,
    )
    os.close(writes)
    with os.fdopen(reads) as pipe:
        number = pipe.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait(10)


def xdotool(display, *arguments):
    result = subprocess.run(
        ["xdotool", *arguments],
        env={**os.environ, "DISPLAY": display},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.split()


def start(tmp_path, display, tiny_model, *options):
    """The real command, with its window, on a clip that loops; waits until the window is there."""
    cv2 = pytest.importorskip("cv2")
    if "GUI:                           NONE" in cv2.getBuildInformation():
        pytest.skip("this OpenCV has no windows")
    clip = make_clip(tmp_path / "in.mp4", size=SIZE_WH, rate=Fraction(30), pts=range(30), sound=())
    second = shutil.copy(tiny_model, tmp_path / "second.onnx")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "styletransfer",
            "webcam",
            str(clip),
            "-m",
            str(tiny_model),
            "-m",
            str(second),
            "--provider",
            "cpu",
            "--snapshots",
            "shots",
            *options,
        ],
        cwd=tmp_path,
        env={**os.environ, "DISPLAY": display},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        if windows := xdotool(display, "search", "--onlyvisible", "--name", "^styletransfer$"):
            time.sleep(1)
            return process, windows[0]
        time.sleep(0.2)
    process.kill()  # our own child
    raise AssertionError(f"no window came: {process.communicate()}")


def close_window(display, window):
    """What a click on a window's cross sends: WM_DELETE_WINDOW."""
    name = ctypes.util.find_library("X11")
    if not name:
        pytest.skip("needs libX11")

    class ClientMessage(ctypes.Structure):
        _fields_ = [
            ("type", ctypes.c_int),
            ("serial", ctypes.c_ulong),
            ("send_event", ctypes.c_int),
            ("display", ctypes.c_void_p),
            ("window", ctypes.c_ulong),
            ("message_type", ctypes.c_ulong),
            ("format", ctypes.c_int),
            ("data", ctypes.c_long * 5),
            ("padding", ctypes.c_long * 24),  # XSendEvent copies a whole XEvent
        ]

    x11 = ctypes.CDLL(name)
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    x11.XInternAtom.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    x11.XSendEvent.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    server = x11.XOpenDisplay(display.encode())
    protocols = x11.XInternAtom(server, b"WM_PROTOCOLS", 0)
    message = ClientMessage(type=33, window=int(window), message_type=protocols, format=32)
    message.data[0] = x11.XInternAtom(server, b"WM_DELETE_WINDOW", 0)
    x11.XSendEvent(server, int(window), 0, 0, ctypes.byref(message))
    x11.XCloseDisplay(server)


def ends(process):
    try:
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert "Traceback" not in err, err
    assert process.returncode == 0, err
    return out, err


def mouse(display, *actions):
    """``("move", x, y)``, ``("down",)``, ``("up",)``, with the pauses that a hand makes."""
    for kind, *place in actions:
        if kind == "move":
            xdotool(display, "mousemove", str(place[0]), str(place[1]))
        else:
            xdotool(display, f"mouse{kind}", "1")
        time.sleep(0.15)


def wait_for(condition, limit_s=20.0):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")


def press_until(display, condition, *keys):
    """Press keys, again where need be: on a machine that is very busy, OpenCV loses the first of two quick ones."""
    for _ in range(8):
        for key in keys:
            xdotool(display, "key", key)
            time.sleep(0.6)
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            if condition():
                return
            time.sleep(0.1)
    raise AssertionError(f"{keys} had no effect")


@LINUX
def test_the_window_obeys_real_keys(tmp_path, display, tiny_model):
    process, window = start(tmp_path, display, tiny_model)
    xdotool(display, "windowfocus", window)
    shots = tmp_path / "shots"
    press_until(display, lambda: list(shots.glob("tiny-*.png")), "space")
    press_until(display, lambda: list(shots.glob("*.mp4")), "r", "h", "r", "h")
    for key in ("s", "minus", "period", "m", "i", "c", "Tab", "Tab"):
        xdotool(display, "key", key)
        time.sleep(0.2)
    assert process.poll() is None
    press_until(display, lambda: list(shots.glob("second-*.png")), "2", "space")
    press_until(display, lambda: process.poll() is not None, "q")
    out, err = ends(process)
    assert "fps" in out
    recording = next(shots.glob("*.mp4"))
    assert str(recording.name) in err
    recorded = look_at(recording)
    assert recorded.size == SIZE_WH
    assert len(recorded.times) > 5
    assert 0.5 < float(recorded.times[-1]) < 20, "the recording must last as long as it took"


@LINUX
def test_the_window_obeys_a_real_mouse(tmp_path, display, tiny_model):
    process, window = start(tmp_path, display, tiny_model, "--mirror")
    xdotool(display, "windowfocus", window)
    layout = arrange(CANVAS_WH, SIZE_WH, 2, 0)
    thumb, track, shutter = layout.thumbs[1], layout.sliders["strength"], layout.buttons["snapshot"]
    mouse(display, ("move", 500, 300), ("move", thumb.x + 20, thumb.y + 20), ("down",), ("up",))
    knob = (track.x + track.w - 2, track.y + 2)
    mouse(display, ("move", *knob), ("down",), ("move", track.x + 60, 500), ("move", track.x - 30, 500), ("up",))
    time.sleep(1)
    mouse(display, ("move", shutter.x + 9, shutter.y + 9), ("down",), ("up",))
    (shot,) = wait_for(lambda: list((tmp_path / "shots").glob("*.png")))
    assert shot.name.startswith("second-"), "the click on the thumbnail"
    press_until(display, lambda: process.poll() is not None, "q")
    ends(process)
    picture = np.asarray(Image.open(shot))
    # Strength 0: the mirrored camera, whose red corner is then on the right, in its own colours.
    right, left = picture[10:40, 90:150].reshape(-1, 3).mean(0), picture[70:110, 10:60].reshape(-1, 3).mean(0)
    assert right[0] > 150 > right[2]
    assert left[0] < 110


@LINUX
def test_controls_follow_a_window_that_is_resized(tmp_path, display, tiny_model):
    process, window = start(tmp_path, display, tiny_model)
    xdotool(display, "windowfocus", window)
    assert geometry(display, window) == CANVAS_WH
    xdotool(display, "windowsize", window, "500", "420")
    time.sleep(1)
    layout = arrange((500, 420), SIZE_WH, 2, 0)
    shutter = layout.buttons["snapshot"]
    for _ in range(5):
        mouse(display, ("move", 250, 100), ("move", shutter.x + 6, shutter.y + 6), ("down",), ("up",))
        time.sleep(1)
    assert list((tmp_path / "shots").glob("*.png"))
    xdotool(display, "key", "f")
    time.sleep(1)
    xdotool(display, "key", "Escape")
    time.sleep(1)
    assert process.poll() is None, "Escape leaves the full screen first"
    press_until(display, lambda: process.poll() is not None, "Escape")
    ends(process)


def geometry(display, window):
    words = xdotool(display, "getwindowgeometry", window)
    return tuple(int(side) for side in words[-1].split("x"))


@LINUX
def test_closing_the_window_with_the_mouse_ends_the_command(tmp_path, display, tiny_model):
    process, window = start(tmp_path, display, tiny_model)
    close_window(display, window)
    ends(process)


@LINUX
def test_a_window_after_pyav_is_refused_because_it_would_freeze(display):
    code = "import av\nfrom styletransfer.media.window import PreviewWindow\nPreviewWindow().__enter__()"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DISPLAY": display},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "import cv2 first" in result.stderr
