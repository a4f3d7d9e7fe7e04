"""Live sources: a camera, a network stream, or a video file that stands in for one.

A thread of its own keeps only the newest frame, stamped when it was grabbed: a slow network then shows
the present at a low rate instead of the past at a growing distance. Files and streams are read with
PyAV; OpenCV is imported for camera devices only.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from styletransfer.core.errors import CameraError, InputError, StyleTransferError
from styletransfer.core.frames import Frame
from styletransfer.media.opencv import import_cv2
from styletransfer.media.video import VideoReader

_FIRST_FRAME_S = 6.0  # slow cameras switch modes for seconds
_STALL_S = 2.0
_POLL_S = 0.1
_FAILED_READS = 10

Grabber = Generator[NDArray[np.uint8]]


class LiveSource:
    """The newest frame of something that does not wait: a context manager and an iterator.

    Iterating yields frames as they come, and ``None`` about every 0.1 s while there is none.

    Args:
        frames: delivers RGB uint8 ``[H, W, 3]`` frames when their time has come; runs in a thread.
        name: what messages call the source.
        stop: set when the source is left, so that ``frames`` can end its own waiting.
        ends: ``True`` where running out of frames is an end, not a fault.

    Attributes:
        dropped: frames that nobody fetched before the next one came.

    Raises:
        CameraError: while iterating: no frame came for some seconds, or the camera is gone.
    """

    def __init__(self, frames: Grabber, name: str, stop: threading.Event, ends: bool) -> None:
        self.name = name
        self.dropped = 0
        self._frames = frames
        self._stop = stop
        self._ends = ends
        self._fresh = threading.Condition()
        self._newest: Frame | None = None
        self._over = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._grab, name="camera", daemon=True)
        self._started_s = 0.0

    def __enter__(self) -> LiveSource:
        if not self._thread.is_alive() and not self._stop.is_set():
            self._started_s = time.perf_counter()
            self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(_STALL_S)  # a driver that hangs keeps its daemon thread, not us

    def __iter__(self) -> Iterator[Frame | None]:
        last_s, limit_s = self._started_s, _FIRST_FRAME_S
        while True:
            with self._fresh:
                if self._newest is None and not self._over:
                    self._fresh.wait(_POLL_S)
                frame, self._newest = self._newest, None
                over = self._over
            if frame is not None:
                last_s, limit_s = frame.grabbed_s, _STALL_S
            elif over:
                self._finish()
                return
            elif not self._ends and time.perf_counter() - last_s > limit_s:
                raise CameraError(
                    f"{self.name} has delivered no frame for {limit_s:.0f} seconds: is it unplugged, in use "
                    "by another program, or is the connection gone?"
                )
            yield frame

    def _finish(self) -> None:
        if isinstance(self._error, StyleTransferError):
            raise self._error
        if self._error is not None:
            raise CameraError(f"{self.name} failed ({self._error})") from self._error
        if not self._ends and not self._stop.is_set():
            raise CameraError(f"{self.name} delivers no frames any more: is it unplugged?")

    def _grab(self) -> None:
        first_s = index = None
        try:
            for frame_hwc in self._frames:
                now = time.perf_counter()
                first_s = now if first_s is None else first_s
                index = 0 if index is None else index + 1
                frame = Frame(frame_hwc, Fraction(now - first_s), Fraction(0), index, now)
                with self._fresh:
                    self.dropped += self._newest is not None
                    self._newest = frame
                    self._fresh.notify_all()
                if self._stop.is_set():
                    break
        except BaseException as error:  # handed to whoever iterates
            self._error = error
        finally:
            self._frames.close()
            with self._fresh:
                self._over = True
                self._fresh.notify_all()


def open_source(
    source: str, *, size_wh: tuple[int | None, int | None] = (None, None), loop: bool = False
) -> LiveSource:
    """Open a camera index (``0``), a device (``/dev/video0``), a URL, or a video file.

    Args:
        source: what to open.
        size_wh: width and height to ask a camera for; ``None`` leaves its default.
        loop: start a file again when it ends.

    Raises:
        CameraError: no such camera, or it does not open.
        InputError: the file or stream does not exist or holds no video.
    """
    stop = threading.Event()
    index = _camera_index(source)
    if index is not None:
        capture = _open_device(index, size_wh)
        return LiveSource(_device_frames(capture, index), f"camera {index}", stop, ends=False)
    is_url = "://" in source
    if not source or (not is_url and not Path(source).exists()):  # Path("") is the current folder
        raise InputError(
            f"{source or repr(source)}: no such file; a source is a camera's number (0), a URL (rtsp://..., "
            "http://...) or a video file"
        )
    reader = VideoReader(source if is_url else Path(source))
    return LiveSource(_video_frames(reader, loop, stop), str(source), stop, ends=not reader.is_live)


def _camera_index(source: str) -> int | None:
    if source.isdecimal() and not Path(source).is_file():
        return int(source)
    if source.startswith("/dev/video") and source.removeprefix("/dev/video").isdecimal():
        return int(source.removeprefix("/dev/video"))
    return None


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


def _device_frames(capture: Any, index: int) -> Grabber:
    cv2 = import_cv2()
    failed = 0
    try:
        while failed < _FAILED_READS:
            ok, frame_bgr = capture.read()
            if ok:
                failed = 0
                yield cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2RGB)
            else:
                failed += 1
                time.sleep(_POLL_S)
    finally:
        capture.release()
    raise CameraError(f"camera {index} delivers no frames any more: is it unplugged?")
