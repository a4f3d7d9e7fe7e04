"""Source → stage → sink, each in its own thread, with bounded queues between them.

Decoding, the network and encoding then overlap: the slowest of the three sets the speed instead of
their sum. The sink runs in the calling thread (a preview window has to live in the main thread on
some systems, and Ctrl-C arrives there); the source and the stage get a thread each.
"""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from styletransfer.core.interrupts import interruption

_POLL_S = 0.05  # how often a waiting sink looks after its window (and, on Windows, after Ctrl-C)

S = TypeVar("S")
R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)


class Sink(Protocol[R_contra]):
    """Takes the results, in order. Leaving it with an exception means: throw the output away."""

    def __enter__(self) -> object: ...

    def __exit__(self, kind: Any, error: Any, trace: Any, /) -> bool | None: ...

    def write(self, item: R_contra, /) -> None:
        """Take one result; raise :class:`StopPipeline` to end without an error."""
        ...


class StopPipeline(Exception):  # noqa: N818 - not an error: the sink or the stage has seen enough
    """Raised by a sink or a stage to end the run early; the sink is left as after a normal end."""


@dataclass(frozen=True)
class PipelineStats:
    """What a run did.

    Attributes:
        frames: results that the sink took.
        dropped: items that were replaced by newer ones before the stage saw them (live sources only).
        seconds: wall-clock time of the run.
    """

    frames: int
    dropped: int
    seconds: float

    @property
    def frames_per_s(self) -> float:
        """Results per second over the whole run."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0


def run(
    source: contextlib.AbstractContextManager[Iterable[S | None]],
    stage: Callable[[S], R],
    sink: Sink[R],
    *,
    queue_size: int = 4,
    newest_only: bool = False,
    idle: Callable[[], None] | None = None,
    written: Callable[[], None] | None = None,
) -> PipelineStats:
    """Send every item of ``source`` through ``stage`` into ``sink`` and wait for the end.

    Whatever fails first (source, stage, sink, Ctrl-C) stops the others; all threads are joined, the
    sink is left with the exception, and the exception reaches the caller.

    Args:
        source: context manager whose value yields items. A live source yields ``None`` now and then
            while it has nothing, so that a stop is noticed.
        stage: called with each item in one thread, in order.
        sink: takes the results in the calling thread.
        queue_size: items that may wait in front of the stage and in front of the sink.
        newest_only: for live sources: one place in front of the stage, where a newer item replaces
            the one that waits; the replaced ones are counted as dropped.
        idle: called in the calling thread, about every 50 ms, while the sink waits for a result.
        written: called in the calling thread after every result that the sink took.
    """
    inbox: _Channel[S] = _Channel(1 if newest_only else queue_size, newest_only)
    outbox: _Channel[R] = _Channel(1 if newest_only else queue_size)
    errors: list[BaseException] = []

    def guarded(work: Callable[[], None], output: _Channel[Any]) -> None:
        try:
            work()
            output.finish()
        except _Closed:
            pass
        except StopPipeline:
            outbox.finish()
            inbox.abort()
        except BaseException as error:  # reaches the caller, whatever it is
            errors.append(error)
            inbox.abort()
            outbox.abort()

    def read() -> None:
        with source as items:
            for item in items:
                if item is None:
                    inbox.check()
                else:
                    inbox.put(item)

    def process() -> None:
        with contextlib.suppress(_Finished):
            while True:
                item = inbox.get()
                if item is not None:
                    outbox.put(stage(item))

    threads = [
        threading.Thread(target=guarded, args=(read, inbox), name="pipeline-source", daemon=True),
        threading.Thread(target=guarded, args=(process, outbox), name="pipeline-stage", daemon=True),
    ]
    started = time.perf_counter()
    with sink, interruption() as interrupted:
        try:
            for thread in threads:
                thread.start()
            frames = _drain(outbox, sink, idle, written, interrupted)
        except Exception as error:
            errors.append(error)
        finally:
            inbox.abort()
            outbox.abort()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
        if errors:
            raise errors[0]
    return PipelineStats(frames, inbox.dropped, time.perf_counter() - started)


def _drain(
    outbox: _Channel[R],
    sink: Sink[R],
    idle: Callable[[], None] | None,
    written: Callable[[], None] | None,
    interrupted: threading.Event,
) -> int:
    """Hand results to the sink until there are no more; how many it took.

    Raises:
        KeyboardInterrupt: Ctrl-C, between two results: no lock is held then that another thread waits for.
    """
    frames = 0
    with contextlib.suppress(_Closed, _Finished, StopPipeline):
        while True:
            if interrupted.is_set():
                raise KeyboardInterrupt
            result = outbox.get(_POLL_S)
            if result is not None:
                sink.write(result)
                frames += 1
                if written is not None:
                    written()
            elif idle is not None:
                idle()
    return frames


class _Closed(Exception):  # noqa: N818
    """The run is being stopped."""


class _Finished(Exception):  # noqa: N818
    """Everything was taken and nothing more comes."""


T = TypeVar("T")


class _Channel(Generic[T]):
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
        """Raise ``_Closed`` when the run is being stopped."""
        if self._aborted:
            raise _Closed

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
                raise _Finished
            return None

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
