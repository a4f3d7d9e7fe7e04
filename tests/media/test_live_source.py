"""A live source: newest frame only, and what becomes of it when the camera hangs, vanishes or comes back."""

import threading
import time

import pytest
from clips import picture

from styletransfer.core.errors import CameraError
from styletransfer.media import live
from styletransfer.media.live import LiveSource

PICTURE = picture(0, 64, 48)


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """The same waits, ten times shorter."""
    for name, seconds in (("_STALL_S", 0.3), ("_NOTICE_S", 0.1), ("_RETRY_S", 0.05), ("_POLL_S", 0.02)):
        monkeypatch.setattr(live, name, seconds)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 3
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before


def source(*lives, reconnect_s=0.0):
    """A camera whose n-th connection is ``lives[n]``, a function of the stop event; the last one repeats."""
    opened = []

    def connect(stop):
        opened.append(time.perf_counter())
        return lives[min(len(opened), len(lives)) - 1](stop)

    made = LiveSource(connect, "camera 0", reconnect_s=reconnect_s)
    made.opened = opened
    return made


def steady(count, pause_s=0.01, then=None):
    def frames(stop):
        for _ in range(count):
            if stop.wait(pause_s):
                return
            yield PICTURE
        if then is not None:
            then(stop)

    return frames


def gone(stop):
    raise CameraError("there is no camera 0")
    yield


def hang(stop):
    stop.wait(20)


def watch(made, until, limit_s=5.0):
    """Frames until a condition holds, and the messages on the way."""
    frames, messages = [], []
    deadline = time.monotonic() + limit_s
    for frame in made:
        if frame is not None:
            frames.append(frame)
        if made.message and made.message not in messages:
            messages.append(made.message)
        if until(frames):
            return frames, messages
        assert time.monotonic() < deadline, f"{len(frames)} frames, messages {messages}"
    return frames, messages


@pytest.mark.flaky(reruns=2)
def test_only_the_newest_frame_is_kept_and_its_time_is_that_of_the_grab():
    with source(steady(200, 0.005)) as made:
        for frame in made:
            if frame is not None:
                assert time.perf_counter() - frame.grabbed_s < 0.2
                last = frame
                time.sleep(0.05)
                if frame.index > 60:
                    break
    assert made.dropped > 20
    assert last.index > 60


@pytest.mark.flaky(reruns=2)
def test_a_camera_that_comes_back_goes_on_where_it_was():
    started = time.perf_counter()
    with source(steady(5), gone, gone, steady(50), reconnect_s=20) as made:
        frames, messages = watch(made, lambda frames: len(frames) >= 15)
    assert time.perf_counter() - started < 4
    assert len(made.opened) == 4
    assert any("camera 0 is gone" in message and "open it again" in message for message in messages)
    assert made.message == "", "and then nobody is told any more that it is gone"
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices))
    times = [frame.grabbed_s for frame in frames]
    assert times == sorted(times)


def test_a_camera_that_hangs_is_told_at_once_and_opened_anew():
    with source(steady(5, then=hang), steady(50), reconnect_s=20) as made:
        frames, messages = watch(made, lambda frames: len(frames) >= 15)
    assert len(made.opened) == 2
    assert "no picture from camera 0" in messages[0]
    assert len(frames) >= 15


@pytest.mark.flaky(reruns=2)
def test_a_camera_that_stays_away_ends_with_what_it_began_with():
    started = time.perf_counter()
    with source(steady(5), gone, reconnect_s=0.4) as made, pytest.raises(CameraError, match="unplugged"):
        watch(made, lambda frames: False)
    assert 0.3 < time.perf_counter() - started < 3
    assert len(made.opened) > 2


@pytest.mark.flaky(reruns=2)
def test_without_patience_an_unplugged_camera_is_an_error_at_once():
    started = time.perf_counter()
    with source(steady(3)) as made, pytest.raises(CameraError, match="camera 0 delivers no frames any more"):
        watch(made, lambda frames: False)
    assert time.perf_counter() - started < 1


def test_a_camera_that_never_gave_a_picture_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(live, "_FIRST_FRAME_S", 0.2)
    with source(hang_only, reconnect_s=60) as made, pytest.raises(CameraError, match="no frame for"):
        watch(made, lambda frames: False, limit_s=3)
    assert len(made.opened) == 1


def hang_only(stop):
    hang(stop)
    yield PICTURE


def test_a_driver_that_fails_is_one_clear_error():
    def broken(stop):
        yield PICTURE
        raise RuntimeError("V4L2 says no")

    with source(broken) as made, pytest.raises(CameraError, match=r"camera 0 failed \(V4L2 says no\)"):
        watch(made, lambda frames: False)


@pytest.mark.flaky(reruns=2)
def test_a_driver_that_never_returns_holds_nobody_up(monkeypatch):
    monkeypatch.setattr(live, "_LEAVE_S", 0.2)
    let_go = threading.Event()

    def deaf(stop):
        yield PICTURE
        let_go.wait(20)

    started = time.perf_counter()
    with source(deaf) as made, pytest.raises(CameraError, match="no frame for"):
        watch(made, lambda frames: False)
    assert time.perf_counter() - started < 2
    let_go.set()


def test_leaving_ends_the_iteration():
    with source(steady(10_000, 0.001)) as made:
        iterator = iter(made)
        next(iterator)
    assert len([1 for _ in iterator]) <= 1
