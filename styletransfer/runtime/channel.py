"""A bounded queue between two threads that either of them, or a third, can end."""

from __future__ import annotations

import collections
import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):  # noqa: N818
    """The run is being stopped."""


class Finished(Exception):  # noqa: N818
    """Everything was taken and nothing more comes."""


class Channel(Generic[T]):
    """A bounded queue that can be finished (drain it, then stop) and aborted (stop now).

    ``queue.Queue`` knows neither, which is how a failing writer leaves a reader hanging in ``put``.
    """

    def __init__(self, size: int, newest_only: bool = False) -> None:
        self._items: collections.deque[T] = collections.deque()
        self._size = size
        self._newest_only = newest_only
        self._changed = threading.Condition()
        self._finished = False
        self._aborted = False
        self.dropped = 0

    def check(self) -> None:
        """Raise ``Closed`` when the run is being stopped."""
        if self._aborted:
            raise Closed

    def put(self, item: T) -> None:
        """Add an item; wait for room, or replace what waits there (newest only)."""
        with self._changed:
            if self._newest_only and len(self._items) >= self._size:
                self._items.popleft()
                self.dropped += 1
            while len(self._items) >= self._size and not self._aborted:
                self._changed.wait()
            self.check()
            self._items.append(item)
            self._changed.notify_all()

    def get(self, timeout_s: float | None = None) -> T | None:
        """The oldest item; ``None`` when nothing came in time."""
        with self._changed:
            if not self._items and not self._finished and not self._aborted:
                self._changed.wait(timeout_s)
            self.check()
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._finished:
                raise Finished
            return None

    def wait_empty(self) -> None:
        """Wait until everything was taken."""
        with self._changed:
            while self._items and not self._aborted:
                self._changed.wait()
            self.check()

    def finish(self) -> None:
        """Nothing more will be put."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def abort(self) -> None:
        """Throw away what waits and wake everybody."""
        with self._changed:
            self._aborted = True
            self._items.clear()
            self._changed.notify_all()
