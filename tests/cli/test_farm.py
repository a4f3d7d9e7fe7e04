"""What the driver of a cluster makes of its workers' results, whatever order, place and state they come back in.

The workers run in this process: Ray itself is in tests/cluster.
"""

import contextlib
import json
import sys
import threading
import types
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import look_at, make_clip
from command import one_error
from command import run as run_command

from styletransfer.cli import farm as module
from styletransfer.cli.farm import Farm
from styletransfer.cluster.files import NotHereError, share
from styletransfer.cluster.session import LostWorkerError
from styletransfer.media import scan, video

SETTINGS = ("--size", "64", "--preset", "ultrafast", "--provider", "cpu")


class Session:
    """A cluster in this process; what was ordered last is done first."""

    slots = 3
    uses_gpus = False

    def __init__(self, spoil=lambda function, order: None):
        self.lost = 0
        self.orders = []
        self._spoil = spoil
        self._waiting = {}
        self._one_at_a_time = threading.Lock()  # a worker of Ray is a process of its own

    def put(self, data):
        return data

    def submit(self, function, order):
        self.orders.append(order)
        self._waiting[len(self.orders)] = (function, order)
        return len(self.orders)

    def wait(self, references, timeout_s):
        return [max(references)]

    def result(self, reference):
        function, order = self._waiting.pop(reference)
        try:
            with self._one_at_a_time:
                return self._spoil(function, order) or function(order)
        except LostWorkerError:
            self.lost += 1
            raise

    def look(self):
        pass

    def cancel(self, references):
        for reference in references:
            del self._waiting[reference]


@pytest.fixture
def on(cli, tiny_model, monkeypatch):
    """Run ``styletransfer video -m tiny ARGS`` on a session, or without any."""

    def run(session, *args):
        @contextlib.contextmanager
        def connected(address, provider, options):
            yield Farm(session, provider, options)

        monkeypatch.setattr(module, "connected", connected)
        chosen = ("--ray", "somewhere") if session else ()
        return cli("video", "-m", tiny_model, *SETTINGS, *chosen, *args)

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("farm") / "in"
    folder.mkdir()
    make_clip(folder / "long.mp4", pts=range(500), rate=Fraction(30), setup=lambda s: setattr(s, "gop_size", 50))
    make_clip(folder / "exact.mkv", pts=range(240), rate=Fraction(30))
    make_clip(folder / "short.mp4", rate=Fraction(30))
    return folder


@pytest.fixture(scope="module")
def one(folder, tiny_model):
    """What one process makes of the folder."""
    out = folder.parent / "one"
    assert run_command("video", "-m", tiny_model, *SETTINGS, folder, "-o", out).status == 0
    return out


def assert_same_results(one, other):
    names = sorted(path.name for path in one.iterdir() if path.is_file())
    assert names == sorted(path.name for path in other.iterdir() if path.is_file())
    for name in names:
        before, after = look_at(one / name), look_at(other / name)
        assert after.times == before.times and after.sound == before.sound, name
        assert all(np.array_equal(a, b) for a, b in zip(before.pictures, after.pictures, strict=True)), name


def test_results_are_those_of_one_process(on, folder, one, tmp_path):
    session = Session()
    outcome = on(session, folder, "-o", tmp_path / "other", "--report", tmp_path / "report.json")
    assert outcome.status == 0, outcome.err
    assert_same_results(one, tmp_path / "other")
    orders = [order.first for order in session.orders if order.name.endswith("long.mp4")]
    assert orders == [0, 1, 2, 3, 4], "all at once, none of them twice"
    report = json.loads((tmp_path / "report.json").read_text())["results"]
    assert [result["frames_stylized_in_this_run"] for result in report] == [240, 500, 12]
    assert on(None, folder, "-o", tmp_path / "other").out.count("finished by an earlier run") == 3


def test_a_style_with_a_memory_looks_the_same_across_segments(on, folder, tmp_path):
    clips = [folder / "exact.mkv", folder / "short.mp4"]
    for session, out in ((None, "one"), (Session(), "other")):
        assert on(session, *clips, "-o", tmp_path / out, "--smooth", "0.7").status == 0
    assert_same_results(tmp_path / "one", tmp_path / "other")


def test_a_single_clip_is_shared_out_too(on, folder, one, tmp_path):
    session = Session()
    assert on(session, folder / "long.mp4", "-o", tmp_path / "long.mp4").status == 0
    assert len(session.orders) == 5
    assert look_at(tmp_path / "long.mp4").times == look_at(one / "long.mp4").times
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.mp4"], "no journal stays"


@pytest.mark.parametrize("packets", ["tell another time", "tell nothing", "tell too little"])
def test_where_packets_mislead_segments_are_made_again(on, folder, one, tmp_path, monkeypatch, packets):
    real = scan.frame_times
    wrong = {
        "tell another time": lambda times: (
            times[3:] + times[:3] if len(times) < 300 else [t + Fraction(1, 30) for t in times]
        ),
        "tell nothing": lambda times: [],
        "tell too little": lambda times: times[:150],
    }[packets]
    monkeypatch.setattr(scan, "frame_times", lambda *args: wrong(real(*args)))
    session = Session()
    outcome = on(session, folder, "-o", tmp_path / "other")
    assert outcome.status == 0, outcome.err
    assert_same_results(one, tmp_path / "other")


def test_a_damaged_clip_is_kept_as_far_as_one_process_keeps_it(on, tmp_path):
    clip = make_clip(tmp_path / "broken.mkv", pts=range(500), rate=Fraction(30), sound=())
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    clip.write_bytes(data)
    whole = on(None, clip, tmp_path / "none.mp4", "-o", tmp_path / "one")
    shared = on(Session(), clip, tmp_path / "none.mp4", "-o", tmp_path / "other")
    assert whole.status == shared.status == 1
    assert whole.errors == shared.errors
    assert [line for line in whole.err.splitlines() if line.startswith("warning")] == [
        line for line in shared.err.splitlines() if line.startswith("warning")
    ]
    kept = len(look_at(tmp_path / "other" / "broken.mkv").times)
    assert kept == 500 or "readable frames were kept" in shared.err, "what is hit depends on the encoder's threads"
    assert_same_results(tmp_path / "one", tmp_path / "other")


def test_lost_workers_cost_nothing_but_their_work(on, folder, one, tmp_path):
    lost = set()

    def spoil(function, order):
        if order.first not in lost:
            lost.add(order.first)
            raise LostWorkerError("the node died")

    outcome = on(Session(spoil), folder, "-o", tmp_path / "other")
    assert outcome.status == 0, outcome.err
    assert "given to another: 5 times" in outcome.err
    assert_same_results(one, tmp_path / "other")


def test_a_clip_that_kills_every_worker_fails_in_one_line_and_the_rest_is_done(on, folder, tmp_path):
    def spoil(function, order):
        if order.name.endswith("long.mp4"):
            raise LostWorkerError("out of memory")

    outcome = on(Session(spoil), folder, "-o", tmp_path / "out")
    assert outcome.status == 1
    (line,) = outcome.errors
    assert "long.mp4" in line and "out of memory" in line and "--size" in line
    assert "2 clips done, 1 failed" in outcome.err


def test_what_came_back_before_the_driver_died_is_not_made_again(on, folder, one, tmp_path):
    class DiedError(BaseException):
        pass

    def die_at(function, order):
        if order.name.endswith("long.mp4") and order.first == 0:
            raise DiedError

    with pytest.raises(DiedError):
        on(Session(die_at), folder, "-o", tmp_path / "out")
    session = Session()
    outcome = on(session, folder, "-o", tmp_path / "out")
    assert outcome.status == 0, outcome.err
    # The last one is shorter than the others: only its worker knew that the clip ends there.
    assert [order.first for order in session.orders if order.name.endswith("long.mp4")] == [0, 4]
    assert "long.mp4: 500 frames (360 of them by an earlier run)" in outcome.out
    assert_same_results(one, tmp_path / "out")


def test_a_worker_that_cannot_see_the_clip_gets_its_content(on, folder, one, tmp_path, monkeypatch):
    from styletransfer.cluster import files

    monkeypatch.setattr(files, "_cache", lambda: tmp_path / "cache")
    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(get=lambda data: data))

    def elsewhere(function, order):
        return function(replace(order, clip=replace(order.clip, path=Path("elsewhere", order.clip.path.name))))

    outcome = on(Session(elsewhere), folder, "-o", tmp_path / "other")
    assert outcome.status == 0, outcome.err
    assert_same_results(one, tmp_path / "other")
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_a_file_that_is_not_here_and_did_not_come_along_says_so(photo_file):
    shared = share(photo_file)
    assert shared.local() == photo_file
    photo_file.write_bytes(b"another")
    with pytest.raises(NotHereError, match="not visible"):
        shared.local()


def test_a_reader_can_stop_early_and_knows_that_it_did(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4")
    with video.VideoReader(clip) as reader:
        reader.stop_before(5)
        assert [frame.index for frame in reader] == [0, 1, 2, 3, 4]
        assert not reader.is_at_end and not reader.warnings


def test_a_worker_of_another_version_is_refused_in_one_line(on, folder, tmp_path):
    session = Session(lambda function, order: function(replace(order, version="9.9")))
    outcome = on(session, folder / "short.mp4", "-o", tmp_path / "out.mp4")
    assert one_error(outcome, "not 9.9", "pip install 'styletransfer[cpu,cluster]==9.9'")
    assert list(tmp_path.iterdir()) == []
