import contextlib
import signal
import threading
import time

import pytest

from styletransfer.runtime.pipeline import StageTimes, StopPipeline, run


class Source:
    def __init__(self, items, fail_at=None, pause_s=0.0):
        self.items, self.fail_at, self.pause_s, self.left = items, fail_at, pause_s, False

    def __enter__(self):
        return self._items()

    def __exit__(self, *exception):
        self.left = True

    def _items(self):
        for item in self.items:
            if item is not None and item == self.fail_at:
                raise RuntimeError("the source broke")
            if self.pause_s:
                time.sleep(self.pause_s)
            yield item


class Sink:
    def __init__(self, fail_at=None, stop_at=None, pause_s=0.0):
        self.fail_at, self.stop_at, self.pause_s = fail_at, stop_at, pause_s
        self.taken, self.left_with = [], "never left"

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.left_with = error

    def write(self, item):
        if item == self.fail_at:
            raise OSError("the sink broke")
        if item == self.stop_at:
            raise StopPipeline
        time.sleep(self.pause_s)
        self.taken.append(item)


pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def test_every_item_arrives_once_and_in_order():
    source, sink = Source(range(100)), Sink()
    stats = run(source, lambda item: item * 10, sink)
    assert sink.taken == [10 * i for i in range(100)]
    assert (stats.frames, stats.dropped) == (100, 0)
    assert source.left
    assert sink.left_with is None


def test_an_empty_source_is_no_error():
    sink = Sink()
    assert run(Source([]), lambda item: item, sink).frames == 0
    assert sink.left_with is None


@pytest.mark.parametrize("fail_at", [0, 7, 49])
@pytest.mark.parametrize("place", ["source", "stage", "sink"])
def test_a_failure_anywhere_stops_all_and_reaches_the_caller(place, fail_at):
    def stage(item):
        if place == "stage" and item == fail_at:
            raise ValueError("the stage broke")
        return item

    source = Source(range(50), fail_at=fail_at if place == "source" else None)
    sink = Sink(fail_at=fail_at if place == "sink" else None)
    with pytest.raises((RuntimeError, ValueError, OSError), match=f"the {place} broke") as caught:
        run(source, stage, sink, queue_size=2)
    assert source.left
    assert sink.left_with is caught.value, "the sink must know that its output is not complete"
    assert len(sink.taken) <= fail_at


def test_a_sink_that_does_not_open_reaches_the_caller():
    class Shut(Sink):
        def __enter__(self):
            raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        run(Source(range(5)), lambda item: item, Shut())


def test_a_slow_sink_holds_the_source_back_and_loses_nothing():
    seen = []
    sink = Sink(pause_s=0.01)
    run(Source(range(30)), lambda item: seen.append(len(sink.taken)) or item, sink, queue_size=2)
    assert sink.taken == list(range(30))
    assert max(i - taken for i, taken in enumerate(seen)) <= 5, "the queues are not bounded"


def test_the_sink_can_stop_early_without_an_error():
    source, sink = Source(iter(range(10**9))), Sink(stop_at=20)
    stats = run(source, lambda item: item, sink)
    assert stats.frames == 20
    assert source.left
    assert sink.left_with is None


def test_the_stage_can_stop_early_and_what_it_made_still_arrives():
    def stage(item):
        if item == 5:
            raise StopPipeline
        return item

    sink = Sink(pause_s=0.01)
    run(Source(iter(range(10**9))), stage, sink)
    assert sink.taken == [0, 1, 2, 3, 4]


@pytest.mark.flaky(reruns=2)
def test_newest_only_drops_old_items_and_counts_them():
    sink = Sink()
    stats = run(Source(range(50), pause_s=0.002), lambda item: time.sleep(0.02) or item, sink, newest_only=True)
    assert sink.taken == sorted(set(sink.taken))
    assert sink.taken[-1] == 49, "the newest one must get through"
    assert stats.dropped == 50 - stats.frames > 10


@pytest.mark.flaky(reruns=2)
def test_a_slow_sink_gets_frames_that_have_not_waited():
    """Behind a sink of 30 ms, a frame is taken up when there is room for it, not when the stage is idle."""
    ages = []

    class Slow(Sink):
        def write(self, item):
            ages.append(time.perf_counter() - item)
            time.sleep(0.03)

    def camera():
        for _ in range(150):
            time.sleep(0.002)
            yield time.perf_counter()

    run(contextlib.nullcontext(camera()), lambda item: item, Slow(), newest_only=True)
    assert sorted(ages)[len(ages) // 2] < 0.045, "at most the sink's own time, not twice as much"


@pytest.mark.flaky(reruns=2)
def test_what_each_part_takes_is_measured():
    times = StageTimes()
    stats = run(
        Source(range(12), pause_s=0.004),
        lambda item: time.sleep(0.012) or item,
        Sink(pause_s=0.001),
        times=times,
    )
    assert stats.times is times
    assert (times.source.count, times.stage.count, times.sink.count) == (12, 12, 12)
    assert 4 <= times.source.p50_ms < 11
    assert 12 <= times.stage.p50_ms < 30
    assert 1 <= times.sink.p50_ms < 8
    assert times.stage.p95_ms >= times.stage.p50_ms


@pytest.mark.flaky(reruns=2)
def test_stages_overlap():
    items, pause = 15, 0.02
    started = time.perf_counter()
    run(Source(range(items), pause_s=pause), lambda item: time.sleep(pause) or item, Sink(pause_s=pause))
    assert time.perf_counter() - started < 2.7 * items * pause, "one after the other would take three times"


def test_a_live_source_with_nothing_to_say_can_be_stopped():
    def silence():
        yield 1
        while True:
            time.sleep(0.01)
            yield None

    ticks = []

    def idle():
        ticks.append(1)
        if len(ticks) == 3:
            raise StopPipeline

    sink = Sink()
    run(contextlib.nullcontext(silence()), lambda item: item, sink, newest_only=True, idle=idle)
    assert sink.taken == [1]
    assert len(ticks) == 3


def test_ctrl_c_stops_all_and_reaches_the_caller():
    sink = Sink(pause_s=0.01)
    threading.Timer(0.2, lambda: signal.raise_signal(signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        run(Source(iter(range(10**9))), lambda item: item, sink)
    assert isinstance(sink.left_with, KeyboardInterrupt)
