"""Source → stage → sink, each in its own thread, with bounded queues between them.

Decoding, the network and encoding then overlap: the slowest of the three sets the speed instead of
their sum. The sink runs in the calling thread (a preview window has to live in the main thread on
some systems, and Ctrl-C arrives there); the source and the stage get a thread each. More sinks get
theirs from ``runtime.background``.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from styletransfer.core.interrupts import interruption
from styletransfer.runtime.channel import Channel, Closed, Finished
from styletransfer.runtime.timing import RollingStats

_POLL_S = 0.05  # how often a waiting sink looks after its window (and, on Windows, after Ctrl-C)
_TIMES_KEPT = 4096  # the percentiles are of so many last frames: a run of hours must not grow

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


def _stats() -> RollingStats:
    return RollingStats(window=_TIMES_KEPT)


@dataclass(frozen=True)
class StageTimes:
    """How long each part of a pipeline took for a frame, waiting for its neighbours not counted.

    Attributes:
        source: from asking the source for an item to having it; a live source's waiting is in it.
        stage: the stage's own work.
        sink: the sink's own work.
    """

    source: RollingStats = field(default_factory=_stats)
    stage: RollingStats = field(default_factory=_stats)
    sink: RollingStats = field(default_factory=_stats)


@dataclass(frozen=True)
class PipelineStats:
    """What a run did.

    Attributes:
        frames: results that the sink took.
        dropped: items that were replaced by newer ones before the stage saw them (live sources only).
        seconds: wall-clock time of the run.
        times: what each part took.
    """

    frames: int
    dropped: int
    seconds: float
    times: StageTimes = field(default_factory=StageTimes)

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
    times: StageTimes | None = None,
    poll_s: float = _POLL_S,
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
        idle: called in the calling thread, every ``poll_s`` seconds, while the sink waits for a result.
        written: called in the calling thread after every result that the sink took.
        times: where to note what each part takes, for who wants to look while it runs.
        poll_s: how long the sink waits for a result before ``idle`` is called.
    """
    times = times or StageTimes()
    work = _noted(stage, times.stage)
    inbox: Channel[S] = Channel(1 if newest_only else queue_size, newest_only)
    outbox: Channel[R] = Channel(1 if newest_only else queue_size)
    errors: list[BaseException] = []

    def guarded(work: Callable[[], None], output: Channel[Any]) -> None:
        try:
            work()
            output.finish()
        except Closed:
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
            for item in _timed(items, times.source):
                if item is None:
                    inbox.check()
                else:
                    inbox.put(item)

    def process() -> None:
        with contextlib.suppress(Finished):
            while True:
                if newest_only:  # behind a slow sink, a frame taken now would only grow old
                    outbox.wait_empty()
                item = inbox.get()
                if item is not None:
                    outbox.put(work(item))

    threads = [
        threading.Thread(target=guarded, args=(read, inbox), name="pipeline-source", daemon=True),
        threading.Thread(target=guarded, args=(process, outbox), name="pipeline-stage", daemon=True),
    ]
    started = time.perf_counter()
    with sink, interruption() as interrupted:
        try:
            for thread in threads:
                thread.start()
            frames = _drain(outbox, _noted(sink.write, times.sink), interrupted, poll_s, idle=idle, written=written)
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
    return PipelineStats(frames, inbox.dropped, time.perf_counter() - started, times)


def _drain(
    outbox: Channel[R],
    take: Callable[[R], None],
    interrupted: threading.Event,
    poll_s: float,
    *,
    idle: Callable[[], None] | None,
    written: Callable[[], None] | None,
) -> int:
    """Hand results to the sink until there are no more; how many it took.

    Raises:
        KeyboardInterrupt: Ctrl-C, between two results: no lock is held then that another thread waits for.
    """
    frames = 0
    with contextlib.suppress(Closed, Finished, StopPipeline):
        while True:
            if interrupted.is_set():
                raise KeyboardInterrupt
            result = outbox.get(poll_s)
            if result is not None:
                take(result)
                frames += 1
                if written is not None:
                    written()
            elif idle is not None:
                idle()
    return frames


def _timed(items: Iterable[S | None], stats: RollingStats) -> Iterator[S | None]:
    """The items; how long each one took to come goes into ``stats``."""
    asked_s = time.perf_counter()
    for item in items:
        if item is not None:
            stats.add(time.perf_counter() - asked_s)
        yield item
        if item is not None:
            asked_s = time.perf_counter()  # what the receiver did in between is its own time


def _noted(function: Callable[[S], R], stats: RollingStats) -> Callable[[S], R]:
    """The same function; how long each call takes goes into ``stats``."""

    def call(item: S) -> R:
        started_s = time.perf_counter()
        result = function(item)
        stats.add(time.perf_counter() - started_s)
        return result

    return call
