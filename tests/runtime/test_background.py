import threading
import time

import pytest

from styletransfer.runtime.background import BackgroundSink


class Inner:
    def __init__(self, pause_s=0.0, fail_at=None, hang=None):
        self.pause_s, self.fail_at, self.hang = pause_s, fail_at, hang
        self.taken, self.threads, self.left_with = [], set(), "never left"

    def __enter__(self):
        self.threads.add(threading.current_thread())
        return self

    def __exit__(self, kind, error, trace):
        self.threads.add(threading.current_thread())
        self.left_with = error

    def write(self, item):
        self.threads.add(threading.current_thread())
        if item == self.fail_at:
            raise OSError("the disk is full")
        if self.hang is not None:
            self.hang.wait(20)
        time.sleep(self.pause_s)
        self.taken.append(item)


pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def test_everything_arrives_in_another_thread_and_in_order():
    inner = Inner()
    with BackgroundSink(inner, size=100) as sink:
        for item in range(50):
            sink.write(item)
    assert inner.taken == list(range(50))
    assert (sink.dropped, sink.error, inner.left_with) == (0, None, None)
    assert len(inner.threads) == 1
    assert threading.current_thread() not in inner.threads
    assert sink.times.count == 50


@pytest.mark.flaky(reruns=2)
def test_a_slow_sink_holds_nobody_up_and_gets_the_newest():
    inner = Inner(pause_s=0.02)
    started = time.perf_counter()
    with BackgroundSink(inner, size=1) as sink:
        for item in range(100):
            sink.write(item)
            time.sleep(0.001)
        assert time.perf_counter() - started < 1.0
    assert inner.taken[-1] == 99
    assert inner.taken == sorted(inner.taken)
    assert sink.dropped == 100 - len(inner.taken) > 30


def test_what_fails_ends_the_sink_alone():
    inner = Inner(fail_at=2)
    with BackgroundSink(inner, size=100) as sink:
        for item in range(4):
            sink.write(item)
            time.sleep(0.02)
        assert isinstance(sink.error, OSError)
    assert inner.taken == [0, 1]
    assert inner.left_with is sink.error, "the inner sink must know that its output is not complete"


def test_a_sink_that_does_not_open_says_why():
    class Shut(Inner):
        def __enter__(self):
            raise OSError("no device")

    with BackgroundSink(Shut()) as sink:
        deadline = time.monotonic() + 3
        while sink.error is None and time.monotonic() < deadline:
            sink.write(1)
            time.sleep(0.01)
    assert "no device" in str(sink.error)


@pytest.mark.flaky(reruns=2)
def test_a_sink_that_hangs_does_not_hang_the_end():
    let_go = threading.Event()
    started = time.perf_counter()
    sink = BackgroundSink(Inner(hang=let_go), close_s=0.2).__enter__()
    sink.write(1)
    assert not sink.close()
    assert time.perf_counter() - started < 2
    let_go.set()
    assert sink.close()


def test_a_sink_that_was_never_entered_can_be_closed():
    assert BackgroundSink(Inner()).close()
