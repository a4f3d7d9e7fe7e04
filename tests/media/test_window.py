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

from styletransfer.core.errors import OutputError
from styletransfer.media.window import ViewState, check_display, compose, key_name, press

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only X11 has DISPLAY")


def pressed(*keys, **state):
    view = ViewState(styles=3, **state)
    for key in keys:
        view = press(view, key)
    return view


@pytest.mark.parametrize(
    ("keys", "name", "value"),
    [
        (["n"], "style", 1),
        (["right", "n", "n"], "style", 0),
        (["p"], "style", 2),
        (["left", "right"], "style", 0),
        (["-"], "strength", 0.9),
        (["[", "_", "+"], "strength", 0.9),
        (["+", "]", "="], "strength", 1.0),
        (["-"] * 15, "strength", 0.0),
        (["-"] * 10 + ["+"] * 3, "strength", 0.3),
        (["s"], "split", True),
        (["s", "s"], "split", False),
        (["c"], "keep_colors", True),
        (["h"], "help", True),
        (["space", "space"], "snapshots", 2),
        (["r"], "recording", True),
        (["r", "r"], "recording", False),
        (["q"], "quit", True),
        (["escape"], "quit", True),
    ],
)
def test_keys_do_what_the_help_says(keys, name, value):
    view = pressed(*keys)
    assert getattr(view, name) == value


def test_other_keys_do_nothing():
    assert pressed("x", "", "F1") == pressed()


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (-1, ""),
        (ord("n"), "n"),
        (ord("N"), "n"),
        (ord("+"), "+"),
        (27, "escape"),
        (32, "space"),
        (65361, "left"),
        (65363, "right"),
        (2424832, "left"),
        (2555904, "right"),
        (63234, "left"),
        (0x100000 | ord("q"), "q"),
        (0x100000 | 65363, "right"),
        (65505, ""),  # Shift alone
    ],
)
def test_key_codes_of_all_systems(code, name):
    assert key_name(code) == name


def test_split_view_shows_the_camera_left_and_the_style_right():
    camera, style = np.full((40, 60, 3), 10, np.uint8), np.full((40, 60, 3), 200, np.uint8)
    shown = compose(camera, style, split=True)
    assert (shown[:, :28] == 10).all()
    assert (shown[:, 32:] == 200).all()
    assert (compose(camera, style, split=False) == style).all()
    assert (style == 200).all(), "the picture itself must stay clean for snapshots"


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
        ["Xvfb", "-displayfd", str(writes), "-screen", "0", "640x480x24", "-nolisten", "tcp"],
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


def start(tmp_path, display, tiny_model):
    """The real command, with its window, on a clip that loops; waits until the window is there."""
    cv2 = pytest.importorskip("cv2")
    if "GUI:                           NONE" in cv2.getBuildInformation():
        pytest.skip("this OpenCV has no windows")
    clip = make_clip(tmp_path / "in.mp4", size=(160, 120), rate=Fraction(30), pts=range(30), sound=())
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "styletransfer",
            "webcam",
            str(clip),
            "-m",
            str(tiny_model),
            "--snapshots",
            "shots",
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


@LINUX
def test_the_window_obeys_real_keys(tmp_path, display, tiny_model):
    process, window = start(tmp_path, display, tiny_model)
    xdotool(display, "windowfocus", window)
    for key in ("space", "r"):
        xdotool(display, "key", key)
        time.sleep(0.5)
    time.sleep(1)
    for key in ("r", "h", "s", "Right", "minus"):
        xdotool(display, "key", key)
        time.sleep(0.2)
    assert process.poll() is None
    xdotool(display, "key", "q")
    out, err = ends(process)
    assert "fps" in out
    (snapshot,) = (tmp_path / "shots").glob("*.png")
    (recording,) = (tmp_path / "shots").glob("*.mp4")
    assert str(snapshot.name) in err
    assert str(recording.name) in err
    recorded = look_at(recording)
    assert recorded.size == (160, 120)
    assert len(recorded.times) > 5
    assert 0.5 < float(recorded.times[-1]) < 20, "the recording must last as long as it took"


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
