"""What can be watched live: a camera, a network stream, or a video file that stands in for one.

Files and streams are read with PyAV; OpenCV is imported for camera devices only.
"""

from __future__ import annotations

import sys
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from styletransfer.core.errors import CameraError, InputError
from styletransfer.media.live import RECONNECT_S, Grabber, LiveSource
from styletransfer.media.opencv import import_cv2
from styletransfer.media.video import VideoReader

_PAUSE_S = 0.05  # after a read that failed
_FAILED_READS = 8


def open_source(
    source: str,
    *,
    size_wh: tuple[int | None, int | None] = (None, None),
    loop: bool = False,
    reconnect_s: float = RECONNECT_S,
) -> LiveSource:
    """Open a camera index (``0``), a device (``/dev/video0``), a URL, or a video file.

    Args:
        source: what to open.
        size_wh: width and height to ask a camera for; ``None`` leaves its default.
        loop: start a file again when it ends.
        reconnect_s: how long a camera or a stream that vanished is waited for.

    Raises:
        CameraError: no such camera, or it does not open.
        InputError: the file or stream does not exist or holds no video.
    """
    index = _camera_index(source)
    if index is not None:
        return _open_camera(index, size_wh, reconnect_s)
    is_url = "://" in source
    if not source or (not is_url and not Path(source).exists()):  # Path("") is the current folder
        raise InputError(
            f"{source or repr(source)}: no such file; a source is a camera's number (0), a URL (rtsp://..., "
            "http://...) or a video file"
        )
    path = source if is_url else Path(source)
    readers = [VideoReader(path)]  # the first one says at once what is wrong
    is_live = readers[0].is_live

    def connect(stop: threading.Event) -> Grabber:
        return _video_frames(readers.pop() if readers else VideoReader(path), loop, stop)

    return LiveSource(connect, str(source), ends=not is_live, reconnect_s=reconnect_s)


def _camera_index(source: str) -> int | None:
    if source.isdecimal() and not Path(source).is_file():
        return int(source)
    if source.startswith("/dev/video") and source.removeprefix("/dev/video").isdecimal():
        return int(source.removeprefix("/dev/video"))
    return None


def _open_camera(index: int, size_wh: tuple[int | None, int | None], reconnect_s: float) -> LiveSource:
    captures = [_open_device(index, size_wh)]

    def connect(stop: threading.Event) -> Grabber:
        return _device_frames(captures.pop() if captures else _open_device(index, size_wh), index, stop)

    return LiveSource(connect, f"camera {index}", reconnect_s=reconnect_s)


def _video_frames(reader: VideoReader, loop: bool, stop: threading.Event) -> Grabber:
    """Frames of a file at the pace of its time stamps; of a live stream as they come."""
    first: VideoReader | None = reader
    while not stop.is_set():
        with first or VideoReader(reader.path) as clip:
            first = None
            started_s, origin_s, end_s = time.perf_counter(), None, Fraction(0)
            for frame in clip:
                origin_s = frame.pts_s if origin_s is None else origin_s
                end_s = frame.pts_s - origin_s + frame.duration_s
                due_s = started_s + float(frame.pts_s - origin_s)
                if not clip.is_live and stop.wait(max(0.0, due_s - time.perf_counter())):
                    return
                yield frame.frame_hwc
            if not clip.is_live:
                stop.wait(max(0.0, started_s + float(end_s) - time.perf_counter()))
        if not loop:
            return


def _open_device(index: int, size_wh: tuple[int | None, int | None]) -> Any:
    if sys.platform == "linux" and not Path(f"/dev/video{index}").exists():
        there = sorted(path.name.removeprefix("video") for path in Path("/dev").glob("video*"))
        known = f"cameras here: {', '.join(there)}" if there else "this machine has none"
        raise CameraError(f"there is no camera {index} ({known}); a video file or a URL can stand in for it")
    cv2 = import_cv2()
    backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
    capture = cv2.VideoCapture(index, backend)
    if not capture.isOpened():
        capture.release()
        raise CameraError(
            f"camera {index} cannot be opened: is it plugged in, used by another program, or forbidden "
            "to this one? A video file or a URL can stand in for it"
        )
    # MJPG first: asked for after the size, many cameras stay at 5-10 frames a second of raw video.
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    for key, value in zip((cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT), size_wh, strict=True):
        if value is not None:
            capture.set(key, value)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def _device_frames(capture: Any, index: int, stop: threading.Event) -> Grabber:
    cv2 = import_cv2()
    failed = 0
    try:
        while failed < _FAILED_READS and not stop.is_set():
            ok, frame_bgr = capture.read()
            if ok:
                failed = 0
                yield cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2RGB)
            else:
                failed += 1
                stop.wait(_PAUSE_S)
    finally:
        capture.release()
    if not stop.is_set():
        raise CameraError(f"camera {index} delivers no frames any more: is it unplugged?")
