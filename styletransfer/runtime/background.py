"""A sink in a thread of its own, so that a slow disk or a slow virtual camera holds nobody up."""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from typing import Any, Generic, TypeVar

from styletransfer.runtime.pipeline import Sink
from styletransfer.runtime.timing import RollingStats

_CLOSE_S = 10.0
_TIMES_KEPT = 4096

T = TypeVar("T")


class BackgroundSink(Generic[T]):
    """Hands results to another sink in a thread: a context manager that never blocks in ``write``.

    Entering and leaving the inner sink happen in that thread too. What fails there ends this sink alone: the error
    waits in ``error`` and everything written later is ignored.

    Args:
        sink: where the results go.
        size: results that may wait; 1 for what has to be current, more for what should not miss any.
        name: name of the thread.
        close_s: how long leaving waits for what is still queued; a sink that hangs keeps its daemon thread.

    Attributes:
        dropped: results that found no room: the oldest one gives way.
        error: what went wrong in the thread.
        times: how long the inner sink took for each result.
    """

    def __init__(self, sink: Sink[T], *, size: int = 1, name: str = "sink", close_s: float = _CLOSE_S) -> None:
        self.dropped = 0
        self.error: BaseException | None = None
        self.times = RollingStats(window=_TIMES_KEPT)
        self._sink = sink
        self._size = size
        self._close_s = close_s
        self._items: collections.deque[T] = collections.deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def __enter__(self) -> BackgroundSink[T]:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> bool:
        """Let what waits be written, leave the inner sink, and end the thread; False where it hangs."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(self._close_s)
        return not self._thread.is_alive()

    def write(self, item: T) -> None:
        """Queue one result; where there is no room, the oldest one that waits is dropped."""
        with self._changed:
            if self.error is not None or self._closing:
                return
            if len(self._items) >= self._size:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()

    def _work(self) -> None:
        try:
            with self._sink, contextlib.suppress(_Done):
                while True:
                    item = self._next()
                    started_s = time.perf_counter()
                    self._sink.write(item)
                    self.times.add(time.perf_counter() - started_s)
        except BaseException as error:  # waits for whoever asks
            self.error = error
            with self._changed:
                self._items.clear()

    def _next(self) -> Any:
        with self._changed:
            while not self._items:
                if self._closing:
                    raise _Done
                self._changed.wait()
            return self._items.popleft()


class _Done(Exception):  # noqa: N818
    """Everything was written."""
