from __future__ import annotations

import time

import pytest

from styletransfer.runtime import tuning
from styletransfer.runtime.engine import Engine

pytest.importorskip("onnxruntime")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STYLETRANSFER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tuning.json"


@pytest.mark.flaky(reruns=2)
def test_the_least_time_counts_and_calls_take_turns():
    order = []

    def slow():
        order.append("s")
        time.sleep(0.01)

    seconds = tuning.least_seconds({"slow": slow, "fast": lambda: order.append("f")}, rounds=3)
    assert "".join(order) == "sf" * 4  # the first round warms up
    assert seconds["fast"] < 0.01 <= seconds["slow"]


def test_a_later_one_must_be_clearly_faster():
    assert tuning.choose({"a": 1.0, "b": 0.99, "c": 1.5}) == "a"
    assert tuning.choose({"a": 1.0, "b": 0.9, "c": 0.89}) == "b"


def test_thread_counts():
    assert tuning.thread_counts(8) == [8, 6, 4, 2, 1]
    assert tuning.thread_counts(2) == [2, 1]
    assert tuning.thread_counts(1) == [1]


def test_what_is_remembered_is_recalled():
    assert tuning.recall("threads") is None
    tuning.remember("threads", 3)
    tuning.remember("other", "x")
    assert (tuning.recall("threads"), tuning.recall("other")) == (3, "x")


def test_it_holds_for_this_machine_only(monkeypatch):
    tuning.remember("threads", 3)
    monkeypatch.setattr(tuning.platform, "node", lambda: "elsewhere")
    assert tuning.recall("threads") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"here": 3}', "\0"])
def test_a_damaged_file_is_as_none(cache, text):
    cache.parent.mkdir()
    cache.write_text(text)
    assert tuning.recall("threads") is None
    tuning.remember("threads", 2)
    assert tuning.recall("threads") == 2


def test_where_nothing_can_be_written_nothing_is_remembered(cache):
    cache.parent.write_text("a file where the folder should be")
    tuning.remember("threads", 2)
    assert tuning.recall("threads") is None


@pytest.mark.parametrize(("kept", "used"), [(1, 1), (0, None), ("two", None), (None, None)])
def test_the_remembered_number_of_threads_is_used(tiny_model, kept, used):
    tuning.remember("threads", kept)
    assert Engine(tiny_model, "cpu").threads == used
    assert Engine(tiny_model, "cpu", threads=2).threads == 2
