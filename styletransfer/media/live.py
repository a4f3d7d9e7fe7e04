"""The newest frame of something that does not wait, and what happens when it falls silent.

A thread of its own keeps only the newest frame, stamped when it was grabbed: a slow network then shows
the present at a low rate instead of the past at a growing distance. A source that hangs or vanishes is opened
again, in a new thread, until it is back or patience ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from styletransfer.core.errors import CameraError, StyleTransferError
from styletransfer.core.frames import Frame

RECONNECT_S = 30.0
"""How long a camera that vanished is waited for unless somebody says otherwise."""

_FIRST_FRAME_S = 6.0  # slow cameras switch modes for seconds
_NOTICE_S = 0.7  # without a frame before anybody is told
_STALL_S = 2.0  # without a frame before the camera is opened anew
_RETRY_S = 1.0  # between two tries to open it
_POLL_S = 0.1
_LEAVE_S = 0.5  # a driver that hangs keeps its daemon thread, not us

Grabber = Generator[NDArray[np.uint8]]
Connect = Callable[[threading.Event], Grabber]
"""Opens a source: takes an event that is set when nobody wants frames any more, and gives a generator of RGB uint8
``[H, W, 3]`` frames when their time has come."""


class LiveSource:
    """The newest frame of something that does not wait: a context manager and an iterator.

    Iterating yields frames as they come, and ``None`` about every 0.1 s while there is none.

    Args:
        connect: opens the source; called in a thread, and again when the source was lost.
        name: what messages call the source.
        ends: ``True`` where running out of frames is an end, not a fault.
        reconnect_s: how long a source that vanished is waited for; 0 makes it an error at once.

    Attributes:
        message: what is wrong at the moment and what is being done, empty while frames come.

    Raises:
        CameraError: while iterating: no frame came for some seconds, or the camera is gone, and stayed so.
    """

    def __init__(self, connect: Connect, name: str, *, ends: bool = False, reconnect_s: float = RECONNECT_S) -> None:
        self.name = name
        self.message = ""
        self._connect = connect
        self._ends = ends
        self._reconnect_s = reconnect_s
        self._line: _Line | None = None
        self._left = False
        self._dropped = 0
        self._born_s: float | None = None
        self._silent_since_s = 0.0
        self._patience_s = _FIRST_FRAME_S
        self._lost_s: float | None = None  # when the trouble began that is not over yet
        self._fault: StyleTransferError | None = None  # what it began with

    @property
    def dropped(self) -> int:
        """Frames that nobody fetched before the next one came."""
        return self._dropped + (self._line.dropped if self._line is not None else 0)

    def __enter__(self) -> LiveSource:
        if self._line is None and not self._left:
            self._dial(0.0)
        return self

    def __exit__(self, *exception: object) -> None:
        self._left = True
        if self._line is not None:
            self._line.stop.set()
            self._line.thread.join(_LEAVE_S)

    def __iter__(self) -> Iterator[Frame | None]:
        while not self._left:
            line = self._line
            assert line is not None, "used outside its with block"
            grabbed = line.take()
            if grabbed is not None:
                yield self._frame(*grabbed)
            elif line.is_over and (self._ends or self._left):
                if line.error is not None:
                    raise self._explain(line)
                return
            else:
                self._look_after(line)
                yield None

    def _frame(self, picture_hwc: NDArray[np.uint8], grabbed_s: float, index: int) -> Frame:
        self._silent_since_s, self._patience_s, self._lost_s, self.message = grabbed_s, _STALL_S, None, ""
        if self._born_s is None:
            self._born_s = grabbed_s
        return Frame(picture_hwc, Fraction(grabbed_s - self._born_s), Fraction(0), index, grabbed_s)

    def _look_after(self, line: _Line) -> None:
        """No frame: say so, open the source anew, or give up."""
        now_s = time.perf_counter()
        silent_s = now_s - self._silent_since_s
        if self._ends:
            return
        if line.is_over or silent_s > self._patience_s:
            if self._lost_s is None:
                self._lost_s, self._fault = now_s, self._explain(line)
            if self._born_s is None or now_s - self._lost_s >= self._reconnect_s:
                assert self._fault is not None
                raise self._fault
            self._dial(_RETRY_S if line.is_over else 0.0)
        if self._lost_s is not None:
            left_s = self._reconnect_s - (now_s - self._lost_s)
            self.message = f"{self.name} is gone: trying to open it again, {left_s:.0f} s left"
        elif self._born_s is not None and silent_s > _NOTICE_S:
            self.message = f"no picture from {self.name} for {silent_s:.0f} s"

    def _explain(self, line: _Line) -> StyleTransferError:
        if isinstance(line.error, StyleTransferError):
            return line.error
        if line.error is not None:
            fault = CameraError(f"{self.name} failed ({line.error})")
            fault.__cause__ = line.error
            return fault
        if line.is_over:
            return CameraError(f"{self.name} delivers no frames any more: is it unplugged?")
        return CameraError(
            f"{self.name} has delivered no frame for {self._patience_s:.0f} seconds: is it unplugged, in use "
            "by another program, or is the connection gone?"
        )

    def _dial(self, wait_s: float) -> None:
        first_index = 0
        if self._line is not None:
            self._line.stop.set()  # its thread ends by itself, or hangs in its driver for ever
            self._dropped += self._line.dropped
            first_index = self._line.count
        self._line = _Line(self._connect, wait_s, first_index)
        self._silent_since_s, self._patience_s = time.perf_counter() + wait_s, _FIRST_FRAME_S
        self._line.thread.start()


class _Line:
    """One connection to a source: its thread, and the newest frame that it brought."""

    def __init__(self, connect: Connect, wait_s: float, first_index: int) -> None:
        self.stop = threading.Event()
        self.dropped = 0
        self.count = first_index
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._grab, name="camera", daemon=True)
        self._connect = connect
        self._wait_s = wait_s
        self._ended = False
        self._fresh = threading.Condition()
        self._newest: tuple[NDArray[np.uint8], float, int] | None = None

    @property
    def is_over(self) -> bool:
        """No frame waits and none will come."""
        with self._fresh:
            return self._ended and self._newest is None

    def take(self) -> tuple[NDArray[np.uint8], float, int] | None:
        """The newest frame, when it was grabbed, and its number; waits a moment for one."""
        with self._fresh:
            if self._newest is None and not self._ended:
                self._fresh.wait(_POLL_S)
            newest, self._newest = self._newest, None
        return newest

    def _grab(self) -> None:
        try:
            if not self.stop.wait(self._wait_s):
                self._keep_newest(self._connect(self.stop))
        except BaseException as error:  # handed to whoever iterates
            self.error = error
        finally:
            with self._fresh:
                self._ended = True
                self._fresh.notify_all()

    def _keep_newest(self, frames: Grabber) -> None:
        try:
            for picture_hwc in frames:
                now_s = time.perf_counter()
                with self._fresh:
                    self.dropped += self._newest is not None
                    self._newest = (picture_hwc, now_s, self.count)
                    self.count += 1
                    self._fresh.notify_all()
                if self.stop.is_set():
                    break
        finally:
            frames.close()
